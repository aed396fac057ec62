// swift-tools-version: 6.2
import PackageDescription

/// The house in one file: a target that does not list another cannot import it. ARCHITECTURE.md draws the picture.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

func target(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
    .product(name: "NIOWebSocket", package: "swift-nio"),
]

let package = Package(
    name: "aether-federation",
    platforms: [.macOS(.v15)],
    products: [
        .library(
            name: "Federation",
            targets: ["FederationModel", "FederationCrypto", "FederationWire", "FederationCore"]),
        // For Benchmarks/, a package of its own, which measures the servers' ends as well.
        .library(
            name: "FederationAdapters",
            targets: [
                "FederationService", "FederationWebSocket", "FederationTransport", "FederationHTTP", "FederationSQLite",
            ]),
        .executable(name: "aether", targets: ["aether"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.34.1"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0", traits: []),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1", traits: []),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration.git", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-system.git", from: "1.8.1"),
    ],
    targets: [
        target("FederationModel"),
        target("FederationCrypto", ["FederationModel", .product(name: "Crypto", package: "swift-crypto")]),
        target(
            "FederationWire", ["FederationModel", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["Protobuf", "Generated/README.md"]),
        target(
            "FederationCore",
            [
                "FederationModel", "FederationCrypto", "FederationWire",
                .product(name: "Collections", package: "swift-collections"),
                .product(name: "BasicContainers", package: "swift-collections"),
            ]),
        // No product: what `aether simulate` and the tests run.
        target("FederationSimulator", ["FederationCore"]),
        target(
            "FederationService",
            [
                "FederationCore",
                .product(name: "Collections", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
            ]),
        target("FederationWebSocket", nio),
        target(
            "FederationTransport",
            [
                "FederationService", "FederationWebSocket",
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
            ] + nio),
        target(
            "FederationHTTP",
            [
                "FederationService", "FederationWebSocket",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ] + nio),
        target(
            "FederationSQLite",
            ["FederationService", "FederationCrypto", .product(name: "GRDB", package: "GRDB.swift")]),
        .executableTarget(
            name: "aether",
            dependencies: [
                "FederationTransport", "FederationHTTP", "FederationSQLite", "FederationSimulator",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "SystemPackage", package: "swift-system"),
            ] + nio,
            swiftSettings: settings),
        // No product: what the conformance suite talks to; see Conformance/README.md.
        .executableTarget(
            name: "websocket-echo",
            dependencies: [
                "FederationWebSocket", "FederationHTTP",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ] + nio,
            path: "Conformance/websocket-echo", swiftSettings: settings),
        // No product: how long tests wait (see scripts/sanitize), and numbers that are the same in every run.
        .target(name: "TestKit", path: "Tests/TestKit", swiftSettings: settings),
        // No product: a clock and a wire in the hands of a test, for servers of one process.
        .target(
            name: "ServiceTestKit", dependencies: ["FederationService"], path: "Tests/ServiceTestKit",
            swiftSettings: settings),
        tests("FederationModelTests", ["FederationModel", "TestKit"]),
        tests(
            "FederationCryptoTests",
            ["FederationCrypto", "TestKit", .product(name: "Crypto", package: "swift-crypto")]),
        tests("FederationWireTests", ["FederationWire", "TestKit"]),
        tests("FederationCoreTests", ["FederationCore", "TestKit"]),
        tests(
            "FederationServiceTests",
            ["FederationService", "ServiceTestKit", "TestKit", .product(name: "Logging", package: "swift-log")]),
        tests(
            "FederationSimulatorTests", ["FederationSimulator", .product(name: "NIOPosix", package: "swift-nio")]),
        tests(
            "FederationWebSocketTests",
            ["FederationWebSocket", "TestKit", .product(name: "NIOEmbedded", package: "swift-nio")] + nio),
        tests(
            "FederationTransportTests",
            [
                "FederationTransport", "TestKit",
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ] + nio),
        tests(
            "FederationHTTPTests",
            [
                "FederationHTTP", "ServiceTestKit", "TestKit",
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ] + nio),
        tests(
            "FederationAttackTests",
            [
                "FederationTransport", "FederationHTTP", "ServiceTestKit", "TestKit",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ] + nio),
        tests("FederationSQLiteTests", ["FederationSQLite", "TestKit", .product(name: "GRDB", package: "GRDB.swift")]),
        // Replays the inputs that fuzzing has kept; see Fuzz/README.md.
        tests(
            "FederationCorpusTests",
            [
                "FederationModel", "FederationCrypto", "FederationWire", "FederationCore", "FederationWebSocket",
                "FederationService", "FederationHTTP", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        // Whole programs: the product is a dependency so that it is built before they run.
        tests("AetherTests", ["aether", "TestKit"]),
    ]
)
