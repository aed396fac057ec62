import Foundation
import ServiceLifecycle

/// Ends when standard input does, so that a server that was started by another process does not outlive it.
struct InputWatch: Service {
    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in Self.ended() { return }
        }
    }

    /// Yields once, at the end of standard input. The thread that waits for it ends with the process.
    private static func ended() -> AsyncStream<Void> {
        AsyncStream { continuation in
            let thread = Thread {
                while let data = try? FileHandle.standardInput.read(upToCount: 4_096), !data.isEmpty {}
                continuation.yield()
                continuation.finish()
            }
            thread.start()
        }
    }
}
