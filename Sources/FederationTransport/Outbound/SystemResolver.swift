public import FederationModel
import NIOPosix
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The system's resolver. Lookups block threads of their own, so that a name server which does not answer holds up
/// nothing else; when so many hang that none is left, further lookups are refused at once.
public final class SystemResolver: NameResolver {
    public static let shared = SystemResolver()

    private static let threads = 4
    private static let maximumWaiting = 64

    private let pool = NIOThreadPool(numberOfThreads: SystemResolver.threads)
    private let waiting = Mutex(0)

    private init() {
        pool.start()
    }

    public func addresses(of host: Host) async throws(NameResolutionFailure) -> [NetworkAddress] {
        if let address = host.address { return [address] }
        let mayWait = waiting.withLock { waiting in
            guard waiting < Self.maximumWaiting else { return false }
            waiting += 1
            return true
        }
        guard mayWait else { throw NameResolutionFailure("too many names are being looked up") }
        defer { waiting.withLock { $0 -= 1 } }
        let found: Result<[NetworkAddress], NameResolutionFailure>
        do {
            found = try await pool.runIfActive { Self.look(up: host.name) }
        } catch {
            throw NameResolutionFailure("the lookup was cancelled")
        }
        return try found.get()
    }

    private static func look(up name: String) -> Result<[NetworkAddress], NameResolutionFailure> {
        var hints = addrinfo()
        #if canImport(Glibc)
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(name, nil, &hints, &list)
        guard status == 0, let list else {
            return .failure(NameResolutionFailure(status == 0 ? "no address" : String(cString: gai_strerror(status))))
        }
        defer { freeaddrinfo(list) }
        var addresses: [NetworkAddress] = []
        var next: UnsafeMutablePointer<addrinfo>? = list
        while let entry = next {
            if let address = address(in: entry.pointee), !addresses.contains(address) { addresses.append(address) }
            next = entry.pointee.ai_next
        }
        return .success(addresses)
    }

    private static func address(in entry: addrinfo) -> NetworkAddress? {
        guard let raw = UnsafeRawPointer(entry.ai_addr) else { return nil }
        switch entry.ai_family {
        case AF_INET:
            guard Int(entry.ai_addrlen) >= MemoryLayout<sockaddr_in>.size else { return nil }
            let address = raw.loadUnaligned(as: sockaddr_in.self).sin_addr
            return withUnsafeBytes(of: address) { NetworkAddress(bytes: Array($0)) }
        case AF_INET6:
            guard Int(entry.ai_addrlen) >= MemoryLayout<sockaddr_in6>.size else { return nil }
            let address = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            return withUnsafeBytes(of: address) { NetworkAddress(bytes: Array($0)) }
        default:
            return nil
        }
    }
}
