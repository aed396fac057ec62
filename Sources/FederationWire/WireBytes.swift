#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The bytes type of the generated code. Only this file and `Generated` know it.
typealias WireBytes = Data

extension [UInt8] {
    var wire: WireBytes { WireBytes(self) }
}

extension WireBytes {
    var array: [UInt8] { [UInt8](self) }
}
