import FederationCrypto
import FederationModel

@testable import FederationHTTP

/// The first message on `/client`, and the members of a request's body.
public enum ClientTarget: FuzzTarget {
    public static let name = "client"

    private static let known = ["type", "ticket", "token", "proof", "world", "flag"]

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        let body = try members(input)
        guard let text = String(validating: input, as: UTF8.self), let opening = try opening(text) else { return body }
        try require(body, "an opening whose members are not known")
        try require(input.count <= Limits.clientMessageBytes, "an opening of \(input.count) bytes")
        let said = said(opening)
        let again = try self.opening(String(decoding: JSONValue.object(said).serialized(), as: UTF8.self))
        try require(again.map { self.said($0) } == said, "\(text) is read as something else when it is written again")
        return true
    }

    private static func opening(_ text: String) throws(Violation) -> ClientOpening? {
        try Problem.accepted { () throws(Problem) in try ClientOpening(text) }
    }

    /// The input as a request's body; whether it is an object with known members only.
    private static func members(_ input: [UInt8]) throws(Violation) -> Bool {
        let read = try Problem.accepted { () throws(Problem) in try Members(input, known: known) }
        guard let members = read else { return false }
        guard let object = (try? JSONValue.parse(input))?.members else { throw Violation("a body that is no object") }
        try require(object.keys.allSatisfy(known.contains), "a member that no route knows")
        let flag = try Problem.accepted { () throws(Problem) in try members.optionalBool("flag") }
        try require((flag ?? nil) == truth(object["flag"]), "a flag that is not what the body says")
        let token = try Problem.accepted { () throws(Problem) in try members.value("token", as: String.self, "text") }
        try require(token == object["token"]?.text, "a text that is not what the body says")
        let world = try Problem.accepted { () throws(Problem) in try members.identifier("world", as: WorldID.self) }
        try require(world == object["world"]?.text.flatMap { WorldID($0) }, "an id that is not what the body says")
        return true
    }

    private static func truth(_ value: JSONValue?) -> Bool? {
        if case .bool(let truth) = value { truth } else { nil }
    }

    private static func said(_ opening: ClientOpening) -> [String: JSONValue] {
        switch opening {
        case .join(let ticket):
            return ["type": .string("join"), "ticket": .string(ticket)]
        case .arrive(let token, let proof):
            var said: [String: JSONValue] = ["type": .string("arrive"), "token": .string(token)]
            if let proof { said["proof"] = .string(hexString(proof)) }
            return said
        }
    }

    public static func seeds() -> [[UInt8]] {
        [
            #"{"type":"join","ticket":"a.b.c"}"#, #"{"type":"arrive","token":"a.b.c"}"#,
            #"{"type":"arrive","token":"a.b.c","proof":null}"#,
            #"{"type":"arrive","token":"a.b.c","proof":"\#(String(repeating: "0f", count: 64))"}"#,
            #"{"world":"plaza","flag":true,"token":"\u00e9"}"#, #"{"world":"No World","flag":null}"#,
            #"{"flag":"true","token":1,"world":[]}"#, "{}",
        ].map { Array($0.utf8) }
    }
}
