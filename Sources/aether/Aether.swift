import ArgumentParser
import FederationModel
import Foundation

/// The command line. Exit codes: 0 done, 1 refused (one line says what, why and what to do), 2 not confirmed, 64 misuse,
/// 141 when nobody reads standard output any more.
@main
struct Aether: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aether",
        abstract: "Portals between independent virtual-world servers.",
        discussion: "Start with 'aether demo', or with 'aether init' and 'aether serve' for a server of your own.",
        version: Version.text,
        // Every command, also those below these, says its name: to make it of the type's takes a third of a millisecond, and
        // all of them are made whichever is run.
        subcommands: [
            InitCommand.self, ServeCommand.self, StatusCommand.self, PeersCommand.self, PolicyCommand.self,
            RegistryCommand.self,
            RoutesCommand.self, WorldsCommand.self, AssetsCommand.self, PlayersCommand.self, TravelCommand.self,
            KeysCommand.self, DoctorCommand.self, DemoCommand.self, SimulateCommand.self,
        ])

    static func main() async {
        // Writing says that a reader has gone; what has to be tidied up then still is.
        _ = signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let refusal as Refusal {
            Terminal.error("aether: \(refusal)")
            Foundation.exit(1)
        } catch let failure as OutputFailure {
            Terminal.end(failure)
        } catch let misuse as ValidationError {
            Terminal.error("aether: \(misuse.message) — see aether --help")
            Foundation.exit(ExitCode.validationFailure.rawValue)
        } catch let code as ExitCode {
            Foundation.exit(code.rawValue)
        } catch  where exitCode(for: error) == .failure {
            Terminal.error("aether: \(oneLine("\(error)"))")
            Foundation.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}

/// What this build calls itself.
enum Version {
    static let text = "0.1.0"
}

/// A message of a library, which may have several lines.
func oneLine(_ text: String) -> String {
    String(text.split(whereSeparator: \.isNewline).joined(separator: " ").prefix(500))
}
