import TestKit
import Testing

/// Whole programs: real processes, sockets and disks. One at a time, because they share the machine's cores and the
/// demo's ports.
@Suite("Programs", .serialized, .timeLimit(.minutes(3 * patience)))
struct Programs {}
