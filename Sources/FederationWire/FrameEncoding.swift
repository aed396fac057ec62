import FederationModel

extension WireFrame {
    /// The message for `frame`; throws on a field out of bounds.
    init(_ frame: FederationFrame) throws(FrameFailure) {
        self.init()
        switch frame {
        case .ready(let ready): self.ready.serverID = ready.server.rawValue
        case .heartbeat(let heartbeat): self.heartbeat = try WireHeartbeat(heartbeat)
        case .acknowledgement(let heartbeat): acknowledgement = try WireHeartbeat(heartbeat)
        case .worldRequest(let request):
            worldRequest.request = request.request
            worldRequest.worldID = request.world.rawValue
        case .worldResponse(let response): worldResponse = try WireWorldResponse(response)
        case .assetRequest(let request): assetRequest = try WireAssetRequest(request)
        case .assetResponse(let response): assetResponse = try WireAssetResponse(response)
        case .offer(let offer): self.offer = try WireHandoffOffer(offer)
        case .accept(let handoff): accept.handoffID = handoff.bytes.wire
        case .reject(let rejection): reject = try WireHandoffRejection(rejection)
        case .commit(let commit): self.commit = try WireHandoffCommit(commit)
        case .admitted(let admitted): self.admitted = try WireHandoffAdmitted(admitted)
        case .abort(let handoff): abort.handoffID = handoff.bytes.wire
        case .query(let handoff): query.handoffID = handoff.bytes.wire
        case .verdict(let verdict): self.verdict = try WireHandoffVerdict(verdict)
        case .position(let decided): position.decided = decided
        case .evidence(let tokens):
            try FrameBounds.evidence(count: tokens.count)
            for token in tokens { try FrameBounds.jws(token, .tokens) }
            evidence.tokens = tokens
        case .recall(let players): recall = try WirePlayerRecall(players)
        case .notice(let notice): self.notice = try WireNotice(notice)
        case .introductions(let introductions):
            try FrameBounds.check(introductions)
            self.introductions.statements = introductions.statements
            self.introductions.cards = introductions.cards
        case .probe(let probe):
            self.probe.request = probe.request
            self.probe.serverID = probe.server.rawValue
        case .probeResult(let result):
            probeResult.request = result.request
            probeResult.reached = result.reached
        }
    }
}

extension WireHeartbeat {
    init(_ heartbeat: FederationFrame.Heartbeat) throws(FrameFailure) {
        try FrameBounds.sequence(heartbeat.sequence)
        self.init()
        sequence = heartbeat.sequence
        sentAtMs = heartbeat.sentAt.milliseconds
    }
}

extension WireWorldResponse {
    init(_ response: FederationFrame.WorldResponse) throws(FrameFailure) {
        self.init()
        request = response.request
        switch response.answer {
        case .manifest(let hash, let size):
            try FrameBounds.manifestSize(size)
            manifest.sha256 = hash.bytes.wire
            manifest.size = size
        case .refused(let code):
            try FrameBounds.code(code, .refused)
            refused = code
        }
    }
}

extension WireAssetRequest {
    init(_ request: FederationFrame.AssetRequest) throws(FrameFailure) {
        try FrameBounds.offset(request.offset)
        try FrameBounds.length(request.length)
        self.init()
        self.request = request.request
        sha256 = request.hash.bytes.wire
        offset = request.offset
        length = UInt32(request.length)
    }
}

extension WireAssetResponse {
    init(_ response: FederationFrame.AssetResponse) throws(FrameFailure) {
        self.init()
        request = response.request
        switch response.answer {
        case .chunk(let bytes):
            try FrameBounds.chunk(count: bytes.count)
            chunk = bytes.wire
        case .refused(let code):
            try FrameBounds.code(code, .refused)
            refused = code
        }
    }
}

extension WireHandoffOffer {
    init(_ offer: FederationFrame.HandoffOffer) throws(FrameFailure) {
        try FrameBounds.jws(offer.token, .token)
        try FrameBounds.snapshot(count: offer.snapshot.count)
        self.init()
        handoffID = offer.handoff.bytes.wire
        token = offer.token
        snapshot = offer.snapshot.wire
    }
}

extension WireHandoffRejection {
    init(_ rejection: FederationFrame.HandoffRejection) throws(FrameFailure) {
        try FrameBounds.code(rejection.code, .code)
        try FrameBounds.reason(rejection.reason)
        self.init()
        handoffID = rejection.handoff.bytes.wire
        code = rejection.code
        reason = rejection.reason
    }
}

extension WireHandoffCommit {
    init(_ commit: FederationFrame.HandoffCommit) throws(FrameFailure) {
        try FrameBounds.jws(commit.token, .token)
        self.init()
        handoffID = commit.handoff.bytes.wire
        token = commit.token
    }
}

extension WireHandoffAdmitted {
    init(_ admitted: FederationFrame.HandoffAdmitted) throws(FrameFailure) {
        try FrameBounds.jws(admitted.receipt, .receipt)
        self.init()
        handoffID = admitted.handoff.bytes.wire
        receipt = admitted.receipt
    }
}

extension WireHandoffVerdict {
    init(_ verdict: FederationFrame.HandoffVerdict) throws(FrameFailure) {
        self.init()
        handoffID = verdict.handoff.bytes.wire
        switch verdict.decision {
        case .undecided: undecided = WireNothing()
        case .committed(let token):
            try FrameBounds.jws(token, .token)
            committed = token
        case .aborted: aborted = WireNothing()
        }
    }
}

extension WirePlayerRecall {
    init(_ recalled: [FederationFrame.RecalledPlayer]) throws(FrameFailure) {
        try FrameBounds.recall(count: recalled.count)
        self.init()
        players = try recalled.map { (recalled) throws(FrameFailure) in
            try FrameBounds.epoch(recalled.epoch)
            var player = WireRecalledPlayer()
            player.player = recalled.player.description
            player.epoch = recalled.epoch.number
            return player
        }
    }
}

extension WireNotice {
    init(_ notice: FederationFrame.Notice) throws(FrameFailure) {
        self.init()
        switch notice {
        case .card(let compact):
            try FrameBounds.jws(compact, .card)
            card = compact
        case .revocation(let compact):
            try FrameBounds.jws(compact, .revocation)
            revocation = compact
        }
    }
}
