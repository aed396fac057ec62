import GRDB

/// The tables, as they came to be. A migration that has shipped never changes: what must change is added as a new one.
///
/// The tables are for people too: `sqlite3 federation.sqlite3 'SELECT player, world, presence FROM players'`. Times are
/// milliseconds since 1970, hashes and keys lower-case hex, spawn points `x,y,z`.
enum Schema {
    /// Marks the file as one of ours (`PRAGMA application_id`): "AETH".
    static let applicationID: Int64 = 0x4145_5448

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1-federation") { database in
            try database.execute(sql: version1)
        }
        migrator.registerMigration("2-passages") { database in
            try database.execute(sql: version2)
        }
        migrator.registerMigration("3-keys") { database in
            try database.execute(sql: version3)
        }
        migrator.registerMigration("4-registry") { database in
            try database.execute(sql: registry)
        }
        migrator.registerMigration("5-policy") { database in
            try database.execute(sql: policy)
        }
        migrator.registerMigration("6-registry-faults") { database in
            try database.execute(sql: registryFaults)
        }
        migrator.registerMigration("7-pins") { database in
            try database.execute(sql: pins)
        }
        migrator.registerMigration("8-suspensions") { database in
            try database.execute(sql: suspensions)
        }
        migrator.registerMigration("9-brought") { database in
            try database.execute(sql: brought)
        }
        migrator.registerMigration("10-brought-by-registry") { database in
            try database.execute(sql: broughtByRegistry)
        }
        migrator.registerMigration("11-own-commitment") { database in
            try database.execute(sql: ownCommitment)
        }
        return migrator
    }

    private static let version1 = """
        PRAGMA application_id = \(applicationID);

        CREATE TABLE node (
            id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
            card_sequence INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE servers (
            id TEXT NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            endpoint TEXT NOT NULL,
            public_key TEXT NOT NULL,
            status TEXT NOT NULL,
            registered_at INTEGER NOT NULL,
            last_heartbeat INTEGER,
            record_sequence INTEGER NOT NULL,
            card TEXT
        ) STRICT;

        CREATE TABLE tombstones (
            server TEXT NOT NULL PRIMARY KEY,
            public_key TEXT NOT NULL,
            is_suspended INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE peers (
            server TEXT NOT NULL PRIMARY KEY,
            public_key TEXT NOT NULL,
            added_at INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE routes (
            portal TEXT NOT NULL PRIMARY KEY,
            source TEXT NOT NULL,
            destination TEXT NOT NULL,
            world TEXT NOT NULL,
            spawn TEXT,
            is_active INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE worlds (
            world TEXT NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            manifest TEXT NOT NULL,
            manifest_size INTEGER NOT NULL,
            assets INTEGER NOT NULL,
            total_size INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE players (
            player TEXT NOT NULL PRIMARY KEY,
            world TEXT NOT NULL,
            presence TEXT NOT NULL,
            presence_handoff TEXT,
            presence_server TEXT,
            epoch INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            state BLOB NOT NULL,
            spawn TEXT,
            client_key TEXT
        ) STRICT;

        CREATE TABLE handoffs (
            id TEXT NOT NULL PRIMARY KEY,
            role TEXT NOT NULL,
            state TEXT NOT NULL,
            player TEXT NOT NULL,
            peer TEXT NOT NULL,
            portal TEXT NOT NULL,
            world TEXT NOT NULL,
            spawn TEXT,
            epoch INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            snapshot_hash TEXT NOT NULL,
            snapshot BLOB NOT NULL,
            snapshot_size INTEGER NOT NULL,
            client_key TEXT,
            opened_at INTEGER NOT NULL,
            changed_at INTEGER NOT NULL,
            abort_code TEXT,
            abort_reason TEXT,
            receipt TEXT,
            redeemed_at INTEGER
        ) STRICT;
        """

    private static let registryFaults = """
        ALTER TABLE registries ADD COLUMN fault TEXT;
        ALTER TABLE registries ADD COLUMN fault_evidence TEXT NOT NULL DEFAULT '';
        ALTER TABLE registries ADD COLUMN fault_seen_at INTEGER;
        """

    private static let policy = """
        CREATE TABLE policy (
            id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
            json TEXT NOT NULL
        ) STRICT;

        CREATE TABLE introductions (
            id TEXT NOT NULL PRIMARY KEY,
            introducer TEXT NOT NULL,
            subject TEXT NOT NULL,
            public_key TEXT NOT NULL,
            endpoint TEXT NOT NULL,
            issued_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            heard_at INTEGER NOT NULL
        ) STRICT;
        """

    /// Peers that were pinned before are pinned where they are known to be now.
    private static let pins = """
        ALTER TABLE peers ADD COLUMN endpoints TEXT NOT NULL DEFAULT '';

        UPDATE peers SET endpoints = ifnull(
            (SELECT trim(servers.endpoint || ' ' || servers.alternatives) FROM servers WHERE servers.id = peers.server),
            '') WHERE trust = 'pinned';
        """

    private static let suspensions = "ALTER TABLE tombstones ADD COLUMN suspension_reason TEXT"

    private static let brought = "ALTER TABLE registries ADD COLUMN brought INTEGER NOT NULL DEFAULT 0"

    /// The count outlives what was read of a registry.
    private static let broughtByRegistry = """
        CREATE TABLE brought (
            registry TEXT NOT NULL PRIMARY KEY,
            count INTEGER NOT NULL
        ) STRICT;

        INSERT INTO brought SELECT registry, sum(brought) FROM registries GROUP BY registry HAVING sum(brought) > 0;

        ALTER TABLE registries DROP COLUMN brought;
        """

    /// What was promised before is in the key files alone, and taken from them at the next start.
    private static let ownCommitment = """
        ALTER TABLE own_keys ADD COLUMN next_hash TEXT;
        ALTER TABLE own_keys ADD COLUMN recovery_hash TEXT;
        """

    private static let version2 = """
        ALTER TABLE handoffs ADD COLUMN decision INTEGER;

        CREATE TABLE decisions (
            server TEXT NOT NULL PRIMARY KEY,
            count INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE passages (
            id TEXT NOT NULL PRIMARY KEY,
            origin TEXT NOT NULL,
            player TEXT NOT NULL,
            decision INTEGER NOT NULL,
            token TEXT NOT NULL
        ) STRICT;

        CREATE TABLE recalls (
            player TEXT NOT NULL PRIMARY KEY,
            epoch INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE reclaims (
            player TEXT NOT NULL PRIMARY KEY,
            server TEXT NOT NULL,
            voided INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            reason TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
        """

    private static let version3 = """
        ALTER TABLE servers ADD COLUMN alternatives TEXT NOT NULL DEFAULT '';
        ALTER TABLE peers ADD COLUMN trust TEXT NOT NULL DEFAULT 'pinned';
        ALTER TABLE peers ADD COLUMN scopes TEXT NOT NULL DEFAULT 'heartbeat,route,assets,handoff';

        CREATE TABLE bindings (
            server TEXT NOT NULL PRIMARY KEY,
            public_key TEXT NOT NULL,
            next_hash TEXT,
            recovery_hash TEXT,
            retired TEXT NOT NULL,
            revocation INTEGER NOT NULL,
            is_dead INTEGER NOT NULL,
            since INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE equivocations (
            server TEXT NOT NULL PRIMARY KEY,
            first_card TEXT NOT NULL,
            second_card TEXT NOT NULL,
            seen_at INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE own_keys (
            id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
            past TEXT NOT NULL,
            rotations TEXT NOT NULL,
            revocation TEXT,
            present TEXT,
            is_dead INTEGER NOT NULL
        ) STRICT;
        """

    private static let registry = """
        ALTER TABLE servers ADD COLUMN worlds TEXT NOT NULL DEFAULT '';
        ALTER TABLE servers ADD COLUMN suspension_reason TEXT;
        ALTER TABLE tombstones ADD COLUMN record_sequence INTEGER NOT NULL DEFAULT 0;

        CREATE TABLE registry_log (
            position INTEGER NOT NULL PRIMARY KEY,
            server TEXT NOT NULL,
            leaf TEXT NOT NULL,
            hash BLOB NOT NULL
        ) STRICT;

        CREATE INDEX registry_log_hashes ON registry_log (position, hash);
        CREATE INDEX registry_log_servers ON registry_log (server, position);

        CREATE TABLE listings (
            id TEXT NOT NULL PRIMARY KEY,
            server TEXT NOT NULL,
            registry TEXT NOT NULL
        ) STRICT;

        CREATE TABLE registries (
            address TEXT NOT NULL PRIMARY KEY,
            registry TEXT NOT NULL,
            head TEXT NOT NULL,
            size INTEGER NOT NULL,
            hashes TEXT NOT NULL
        ) STRICT;
        """
}
