import FederationHTTP
import Foundation
import Logging

/// How many file descriptors this process may have open: each connection takes one.
enum OpenFiles {
    /// Raises the process's own limit to the highest that the system allows it, and returns what it is then; nil where the
    /// system does not say, or sets none.
    static func raise() -> Int? {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return nil }
        for wanted in OpenFileLimit.candidates(soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max)) {
            var raised = limit
            raised.rlim_cur = rlim_t(wanted)
            guard setrlimit(resource, &raised) == 0 else { continue }
            limit = raised
            break
        }
        return OpenFileLimit.files(UInt64(limit.rlim_cur))
    }

    /// Lowers the bound on connections so that descriptors are left for everything else, and says so.
    static func fit(_ limits: inout ListenerLimits, logger: Logger) {
        guard let descriptors = raise() else { return }
        let wanted = limits.connections
        limits.fit(descriptors: descriptors)
        guard limits.connections < wanted else { return }
        logger.notice(
            """
            at most \(limits.connections) connections instead of \(wanted), \(limits.connectionsPerAddress) of one address, \
            because the process may open \(descriptors) files (raise its hard limit: LimitNOFILE, ulimit -Hn)
            """)
    }

    #if canImport(Glibc)
        private static var resource: __rlimit_resource_t { .init(RLIMIT_NOFILE.rawValue) }
    #else
        private static var resource: Int32 { RLIMIT_NOFILE }
    #endif
}
