// swift-tools-version: 6.2
import PackageDescription

/// The decoders under test, compiled with coverage feedback, and the program that feeds them. `Sources` holds links to
/// the project's own folders, not a dependency on its package: so only these modules are instrumented, their internal
/// decoders can be reached, and nothing else is built.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// What is fuzzed: instrumented, and open to `@testable import`.
func instrumented(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, exclude: exclude,
        swiftSettings: settings + [.unsafeFlags(["-sanitize=fuzzer", "-enable-testing"])])
}

let package = Package(
    name: "aether-fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0", traits: []),
    ],
    targets: [
        instrumented("FederationModel"),
        instrumented("FederationCrypto", ["FederationModel", .product(name: "Crypto", package: "swift-crypto")]),
        instrumented(
            "FederationWire", ["FederationModel", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["Protobuf", "Generated/README.md"]),
        instrumented(
            "FederationCore",
            [
                "FederationModel", "FederationCrypto", "FederationWire",
                .product(name: "Collections", package: "swift-collections"),
                .product(name: "BasicContainers", package: "swift-collections"),
            ]),
        instrumented(
            "FederationWebSocket",
            [
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOWebSocket", package: "swift-nio"),
            ]),
        // A single file: what reads the answers of registries, without what asks them.
        instrumented("FederationService", ["FederationModel", "FederationCrypto"]),
        // Single files: what reads requests and fields, without the server around it.
        instrumented(
            "FederationHTTP",
            ["FederationModel", "FederationCrypto", .product(name: "HTTPTypes", package: "swift-http-types")]),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "FederationModel", "FederationCrypto", "FederationWire", "FederationCore", "FederationWebSocket",
                "FederationService", "FederationHTTP", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(name: "CFuzzer"),
        .executableTarget(name: "aether-fuzz", dependencies: ["FuzzTargets", "CFuzzer"], swiftSettings: settings),
    ]
)
