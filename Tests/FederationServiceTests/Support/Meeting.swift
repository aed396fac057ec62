/// Where several wait for one another.
actor Meeting {
    private let size: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var isOver = false

    init(of size: Int) {
        self.size = size
    }

    /// Returns when all have arrived.
    func arrive() async {
        if isOver { return }
        guard waiting.count + 1 < size else {
            isOver = true
            for continuation in waiting { continuation.resume() }
            waiting = []
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }
}
