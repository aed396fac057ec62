import Foundation

/// What a test's real-time limits are multiplied by: 1, or what `AETHER_TEST_PATIENCE` says where everything is slower
/// than it should be, as under a sanitizer. A limit that tells right from wrong keeps its meaning: what never comes is
/// still missed, only later.
///
/// Limits that must run out for the test to go on, and limits on a clock that the test itself sets, are not multiplied.
public let patience = max(1, ProcessInfo.processInfo.environment["AETHER_TEST_PATIENCE"].flatMap { Int($0) } ?? 1)
