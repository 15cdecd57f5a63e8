// What the machine can do. The figure is the bare weight stream in tokens/s
// (engine/roofline/weight_stream.h), its limit read bandwidth of all threads / bytes of weights; the details
// hold the limits that other benches are measured against.

#include "app/bench_report.h"
#include "engine/roofline/machine_limits.h"
#include "engine/roofline/rates.h"

namespace conclave::app {
namespace {

using engine::Arithmetic;

nlohmann::json PeakDetails(Arithmetic arithmetic, engine::ThreadPool& pool) {
  const engine::Peak peak = engine::MeasurePeak(arithmetic, pool);
  return {{"operations_per_s", peak.operations_per_s.best},
          {"median", peak.operations_per_s.median},
          {"instruction", peak.instruction}};
}

Status BenchMachine(const BenchFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const BenchModel bench, BenchModel::Load(flags.common, 1));
  engine::ThreadPool& pool = *bench.pool;
  engine::WeightStream stream(*bench.model);
  CONCLAVE_RETURN_IF_ERROR(stream.Validate(pool));
  ProgressBar bar("machine");
  const int64_t steps = pool.size() + 3 + flags.repeats;
  int64_t done = 0;
  bar.Update(done, steps);
  nlohmann::json bandwidths = nlohmann::json::array();
  double bandwidth = 0.0;
  for (int members = 1; members <= pool.size(); ++members) {
    engine::ThreadPool some(members);
    bandwidth = engine::MeasureReadBandwidth(some).best;
    bandwidths.push_back({{"threads", members}, {"bytes_per_s", bandwidth}});
    bar.Update(++done, steps);
  }
  nlohmann::json details = bench.Details();
  details["read_bandwidth"] = bandwidths;
  details["regions_per_s"] = engine::MeasureRegions(pool).median;
  const std::pair<const char*, Arithmetic> peaks[] = {
      {"int8", Arithmetic::kInt8}, {"bf16", Arithmetic::kBf16}, {"fp32", Arithmetic::kFp32}};
  for (const auto& [name, arithmetic] : peaks) {
    details[name] = PeakDetails(arithmetic, pool);
    bar.Update(++done, steps);
  }
  std::vector<double> passes;
  for (int64_t i = 0; i < flags.repeats; ++i, bar.Update(++done, steps)) {
    passes.push_back(engine::Measure(5, 0.2, [&] { stream.Pass(pool); }).median);
  }
  const double value = Median(passes);
  details["weight_stream"] = {{"passes_per_s", value},
                              {"bytes_per_s", value * static_cast<double>(stream.bytes())},
                              {"regions", stream.regions()},
                              {"all", passes}};
  PrintFigure({.name = "machine",
               .value = value,
               .unit = "tokens/s",
               .limit = bandwidth / static_cast<double>(stream.bytes()),
               .details = details},
              flags.common.json);
  return Status::Ok();
}

}  // namespace

void AddBenchMachine(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = bench.add_subcommand(
      "machine", "Read bandwidth, arithmetic peaks, and the bare stream of a model's weights");
  flags->Add(*command);
  command->footer("Example: conclave bench machine --threads 2 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchMachine(*flags); }); });
}

}  // namespace conclave::app
