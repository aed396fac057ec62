import NIOHTTP1

extension Problem {
    /// What could not be read as a request.
    init(unreadable error: HTTPParserError) {
        guard error == .headerOverflow else {
            self.init(
                .badRequest, code: "request.malformed", "this is not an HTTP/1.1 request",
                remedy: "send HTTP/1.1 (RFC 9112)")
            return
        }
        self.init(
            .requestHeaderFieldsTooLarge, code: "request.malformed",
            "the request's header has a field that is too large, too many fields, or is too large in all",
            remedy: "send less of it")
    }
}
