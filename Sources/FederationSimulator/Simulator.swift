/// Runs simulations.
package enum Simulator {
    /// One run with these options, to its end or its first violation.
    ///
    /// - Parameter progress: is told now and then how many handoffs were begun; it changes nothing in the run.
    package static func run(
        _ options: SimulationOptions, progress: ((_ crossings: Int) -> Void)? = nil
    ) -> SimulationReport {
        do {
            let simulation = try Simulation(options)
            simulation.progress = progress
            return simulation.run()
        } catch {
            var report = SimulationReport(seed: options.seed, servers: options.servers)
            report.violation = Violation(
                invariant: .modelAgrees, detail: "the simulation did not begin: \(error)", crossing: 0)
            return report
        }
    }
}
