import Hummingbird

extension Query {
    init(_ request: Request, known: [String]) throws(Problem) {
        try self.init(request.uri.query ?? "", known: known)
    }
}
