#include "app/bench_report.h"

namespace conclave::app {

void AddBenchCommand(CLI::App& program, CommandRunner& chosen) {
  CLI::App* bench =
      program.add_subcommand("bench", "Measure this machine, and this program beside the machine's limits");
  bench->require_subcommand(1);
  AddBenchMachine(*bench, chosen);
  AddBenchDecode(*bench, chosen);
  AddBenchPrefill(*bench, chosen);
  AddBenchBatch(*bench, chosen);
  AddBenchPipeline(*bench, chosen);
  AddBenchExperts(*bench, chosen);
  AddBenchLoad(*bench, chosen);
  AddBenchStart(*bench, chosen);
  AddBenchSoak(*bench, chosen);
}

}  // namespace conclave::app
