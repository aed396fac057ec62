import HTTPTypes
import Hummingbird

extension Problem {
    /// The answer, which nobody may keep.
    var response: Response {
        var fields = headers
        fields[.cacheControl] = "no-store"
        return .bytes(body, status: status, type: MediaType.problem, headers: fields)
    }
}
