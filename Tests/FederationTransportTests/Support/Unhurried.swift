import TestKit

/// The limit of a fetch where it is not what is tried: it runs out only behind the suites' own.
let unhurried: Duration = .seconds(600 * patience)
