import SystemPackage

/// Text written to a descriptor at once.
struct FileDescriptorText {
    static let standardOutput = FileDescriptorText(descriptor: .standardOutput)

    let descriptor: FileDescriptor

    func write(_ text: String) throws {
        _ = try descriptor.writeAll(text.utf8)
    }
}
