import FederationModel
import FederationService
import HTTPTypes
import Hummingbird
import Logging
import Metrics
import NIOCore
import NIOHTTP1

/// What every answer has: problem details where something went wrong, headers that keep browsers from guessing, a request
/// id, one line in the log and its place in the metrics.
struct AnswerMiddleware: RouterMiddleware {
    typealias Context = FederationRequestContext

    let table: RouteTable
    let metrics: PrometheusRegistry
    let clock: any FederationClock

    func handle(
        _ request: Request, context: FederationRequestContext,
        next: (Request, FederationRequestContext) async throws -> Response
    ) async throws -> Response {
        let started = clock.now().instant
        var response: Response
        do {
            try Self.checkPath(request.uri.path)
            response = try await next(request, context)
        } catch let error as HTTPParserError {
            // The connection is beyond repair; whoever reads it answers and closes.
            throw error
        } catch {
            response = problem(for: error, request, context).response
        }
        if request.method == .head { response = response.createHeadResponse() }
        Self.harden(&response, context)
        report(response, request, context, since: started)
        return response
    }

    /// The router skips empty parts; every address here has one spelling.
    private static func checkPath(_ path: String) throws(Problem) {
        guard !path.contains("//"), path == "/" || !path.hasSuffix("/") else { throw unknownPath(path) }
    }

    // MARK: Problems

    private func problem(
        for error: any Error, _ request: Request, _ context: FederationRequestContext
    ) -> Problem {
        switch error {
        case let problem as Problem:
            return problem
        case let refusal as Refusal:
            return Problem(refusal)
        case is NIOTooManyBytesError:
            return Problem.tooLarge("body.tooLarge", limit: Int64(Limits.jsonBytes))
        case let error as any HTTPResponseError where error.status == .notFound:
            return unrouted(request)
        case let error as any HTTPResponseError where error.status.code < 500:
            return Problem(
                error.status, code: "http.\(error.status.code)", "the request was refused",
                remedy: "see PROTOCOL.md for this address")
        case is CancellationError:
            return Problem(
                .serviceUnavailable, code: "server.stopping", "this server is stopping",
                remedy: "try again when it is back")
        default:
            context.logger.error("a request failed: \(error)")
            return Problem(
                .internalServerError, code: "server.failed", "the request failed through a fault of this server",
                remedy: "tell the operator the request id \(context.requestID)")
        }
    }

    private func unrouted(_ request: Request) -> Problem {
        guard let allow = table.allow(request.uri.path) else { return Self.unknownPath(request.uri.path) }
        var problem = Problem(
            .methodNotAllowed, code: "method.notAllowed", "\(request.method.rawValue) is not possible here",
            remedy: "use \(allow)")
        problem.headers[.allow] = allow
        return problem
    }

    private static func unknownPath(_ path: String) -> Problem {
        Problem(
            .notFound, code: "path.unknown", "there is nothing at \(quoted(path))",
            remedy: "see PROTOCOL.md for the addresses of this API")
    }

    // MARK: Every answer

    private static func harden(_ response: inout Response, _ context: FederationRequestContext) {
        let standard: [(HTTPField.Name, String)] = [
            (.cacheControl, "no-store"),
            (.contentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'; sandbox"),
            (.crossOriginResourcePolicy, "same-origin"), (.referrerPolicy, "no-referrer"),
            (.xContentTypeOptions, "nosniff"), (.requestID, context.requestID),
        ]
        for (name, value) in standard where response.headers[name] == nil {
            response.headers[name] = value
        }
    }

    private func report(
        _ response: Response, _ request: Request, _ context: FederationRequestContext, since started: Instant
    ) {
        let took = clock.now().instant - started
        // The pattern and not the path: one series per route, however many players there are.
        let route = context.endpointPath ?? "none"
        let status = response.status.code
        Counter(
            label: "aether_http_requests_total",
            dimensions: [("method", request.method.rawValue), ("route", route), ("status", String(status))],
            factory: metrics
        ).increment()
        Metrics.Timer(label: "aether_http_request", dimensions: [("route", route)], factory: metrics)
            .recordNanoseconds(took.clampedNanoseconds)
        let level: Logger.Level =
            status >= 500 ? .warning : request.method == .get || request.method == .head ? .debug : .info
        context.logger.log(
            level: level, "\(request.method.rawValue) \(request.uri.path) → \(status)",
            metadata: ["remote": "\(context.remote.text)", "µs": "\(took.clampedNanoseconds / 1000)"])
    }
}
