// From the start of the program to its health check's answer SERVING, over several runs with the model in the
// system's page cache; and what the server then keeps in memory beside its weights.

#include <algorithm>
#include <memory>
#include <vector>

#include "app/bench_report.h"
#include "app/ready_server.h"
#include "app/temporary_folder.h"
#include "engine/files/model_hash.h"

namespace conclave::app {
namespace {

struct Started {
  double ms = 0.0;
  nlohmann::json ready;
  ProcessMemory memory;
};

Result<Started> StartOnce(const CommonFlags& flags, const TemporaryFolder& folder) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto server, ReadyServer::Start(flags, folder.path()));
  CONCLAVE_ASSIGN_OR_RETURN(const ProcessMemory memory, server->memory());
  return Started{.ms = server->start_ms(), .ready = server->ready(), .memory = memory};
}

Status BenchStart(const BenchFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ModelSource model, FindModel(config));
  CONCLAVE_ASSIGN_OR_RETURN(const engine::ModelHashKey stored, engine::ModelHashKeyOf(model.path));
  CONCLAVE_ASSIGN_OR_RETURN(const auto folder, TemporaryFolder::Make());
  ProgressBar bar("start");
  std::vector<Started> runs;
  for (int64_t i = 0; i <= flags.repeats; ++i) {  // The first fills the page cache and makes the stores.
    bar.Update(i, flags.repeats + 1);
    CONCLAVE_ASSIGN_OR_RETURN(Started run, StartOnce(flags.common, *folder));
    if (i > 0) runs.push_back(std::move(run));
  }
  std::vector<double> all;
  for (const Started& run : runs) all.push_back(run.ms);
  std::sort(runs.begin(), runs.end(), [](const Started& a, const Started& b) { return a.ms < b.ms; });
  const Started& median = runs[runs.size() / 2];
  const auto share = static_cast<double>(median.memory.resident) / static_cast<double>(stored.size_bytes);
  PrintFigure({.name = "start",
               .value = median.ms,
               .unit = "ms",
               .limit = {},
               .details = {{"model", model.name},
                           {"model_hash", model.hash},
                           {"repeats", flags.repeats},
                           {"all", all},
                           {"best_ms", runs.front().ms},
                           {"best_phases", runs.front().ready.value("phases", nlohmann::json())},
                           {"phases", median.ready.value("phases", nlohmann::json())},
                           {"outside_phases_ms", median.ms - median.ready.value("start_ms", 0.0)},
                           {"resident_bytes", median.memory.resident},
                           {"anonymous_bytes", median.memory.anonymous},
                           {"weight_bytes", stored.size_bytes},
                           {"resident_of_weights", share}}},
              flags.common.json);
  return Status::Ok();
}

}  // namespace

void AddBenchStart(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = bench.add_subcommand("start", "From the program's start to the answer that it serves");
  flags->repeats = 5;
  flags->Add(*command);
  command->footer("Example: conclave bench start --repeats 9 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchStart(*flags); }); });
}

}  // namespace conclave::app
