// A server of its own under thousands of short requests: what it keeps in memory from its start to the end,
// beside its weights and the keys and values in use, and whether that grows once it is warm.

#include <algorithm>
#include <memory>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "app/bench_report.h"
#include "app/ready_server.h"
#include "app/soak_load.h"
#include "app/temporary_folder.h"
#include "conclave/v1/decoder.grpc.pb.h"
#include "engine/files/model_hash.h"
#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

/// How often memory is read: so many times in all.
constexpr int64_t kSamples = 100;

struct SoakFlags : SoakLoad {
  CommonFlags common;
};

struct Sample {
  int64_t requests = 0;
  double seconds = 0.0;
  ProcessMemory memory;
  int64_t kv_bytes = 0;
  int64_t prefix_cache_bytes = 0;
};

Result<Sample> TakeSample(const ReadyServer& server, int64_t requests, double seconds) {
  Sample sample{.requests = requests, .seconds = seconds};
  CONCLAVE_ASSIGN_OR_RETURN(sample.memory, server.memory());
  const auto decoder = v1::DecoderService::NewStub(server.channel());
  grpc::ClientContext context;
  v1::StatusResponse status;
  const grpc::Status asked = decoder->Status(&context, {}, &status);
  if (!asked.ok()) return platform::FromGrpcStatus(asked, &context);
  sample.kv_bytes = static_cast<int64_t>(status.kv_bytes_used());
  sample.prefix_cache_bytes = static_cast<int64_t>(status.prefix_cache_bytes_used());
  return sample;
}

/// Bytes a request by which a number grows over the second half of the samples (least squares): in the first
/// half caches fill.
template <typename Number>
double GrowthPerRequest(const std::vector<Sample>& samples, Number number) {
  const size_t first = samples.size() / 2;
  const auto count = static_cast<double>(samples.size() - first);
  double mean_x = 0.0, mean_y = 0.0, products = 0.0, squares = 0.0;
  for (size_t i = first; i < samples.size(); ++i) {
    mean_x += static_cast<double>(samples[i].requests) / count;
    mean_y += static_cast<double>(number(samples[i])) / count;
  }
  for (size_t i = first; i < samples.size(); ++i) {
    const double x = static_cast<double>(samples[i].requests) - mean_x;
    products += x * (static_cast<double>(number(samples[i])) - mean_y);
    squares += x * x;
  }
  return squares > 0.0 ? products / squares : 0.0;
}

nlohmann::json ToJson(const Sample& sample) {
  return {{"requests", sample.requests},
          {"seconds", sample.seconds},
          {"resident_bytes", sample.memory.resident},
          {"anonymous_bytes", sample.memory.anonymous},
          {"kv_bytes_used", sample.kv_bytes},
          {"prefix_cache_bytes_used", sample.prefix_cache_bytes}};
}

/// The load, with samples from its start to its end.
Result<std::vector<Sample>> Soak(const ReadyServer& server, const SoakLoad& load, SoakCounts& counts) {
  ProgressBar bar("soak");
  const auto start = BenchClock::now();
  std::vector<Sample> samples;
  Status failure;
  const auto take = [&](int64_t requests) {
    Result<Sample> sample = TakeSample(server, requests, SecondsSince(start));
    if (sample.ok()) {
      samples.push_back(*sample);
    } else {
      failure = sample.status();
    }
  };
  take(0);
  CONCLAVE_ASSIGN_OR_RETURN(counts, RunSoak(server.channel(), load, [&](const SoakCounts& now) {
                              const int64_t ended = now.ended();
                              bar.Update(ended, load.requests);
                              if (ended * kSamples / load.requests != (ended - 1) * kSamples / load.requests)
                                take(ended);
                            }));
  CONCLAVE_RETURN_IF_ERROR(failure);
  return samples;
}

nlohmann::json Details(const SoakFlags& flags, const ReadyServer& server, const std::vector<Sample>& samples,
                       const SoakCounts& counts, int64_t weight_bytes) {
  const auto resident = [](const Sample& sample) { return sample.memory.resident; };
  const auto beside_kv = [](const Sample& sample) { return sample.memory.resident - sample.kv_bytes; };
  const Sample& highest = *std::max_element(
      samples.begin(), samples.end(),
      [](const Sample& a, const Sample& b) { return a.memory.resident < b.memory.resident; });
  nlohmann::json all = nlohmann::json::array();
  for (const Sample& sample : samples) all.push_back(ToJson(sample));
  return {{"model", server.ready().value("model", "")},
          {"requests", flags.requests},
          {"streams", flags.streams},
          {"seed", flags.seed},
          {"answered", counts.answered},
          {"cancelled", counts.cancelled},
          {"refused", counts.refused},
          {"answer_tokens", counts.tokens},
          {"seconds", samples.back().seconds},
          {"weight_bytes", weight_bytes},
          {"start", ToJson(samples.front())},
          {"highest", ToJson(highest)},
          {"end", ToJson(samples.back())},
          {"resident_bytes_a_request", GrowthPerRequest(samples, resident)},
          {"resident_beside_kv_bytes_a_request", GrowthPerRequest(samples, beside_kv)},
          {"samples", all}};
}

Status BenchSoak(const SoakFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ModelSource model, FindModel(config));
  CONCLAVE_ASSIGN_OR_RETURN(const engine::ModelHashKey stored, engine::ModelHashKeyOf(model.path));
  CONCLAVE_ASSIGN_OR_RETURN(const auto folder, TemporaryFolder::Make());
  CONCLAVE_ASSIGN_OR_RETURN(const auto server, ReadyServer::Start(flags.common, folder->path()));
  SoakCounts counts;
  CONCLAVE_ASSIGN_OR_RETURN(const auto samples, Soak(*server, flags, counts));
  const auto weight_bytes = static_cast<int64_t>(stored.size_bytes);
  const Sample& end = samples.back();
  PrintFigure(
      {.name = "soak",
       .value = static_cast<double>(end.memory.resident) / static_cast<double>(weight_bytes + end.kv_bytes),
       .unit = "resident at the end, of weights and keys and values in use",
       .limit = {},
       .details = Details(flags, *server, samples, counts, weight_bytes)},
      flags.common.json);
  return Status::Ok();
}

}  // namespace

void AddBenchSoak(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<SoakFlags>();
  CLI::App* command = bench.add_subcommand("soak", "A server's memory under thousands of short requests");
  flags->common.AddModel(*command);
  flags->common.AddJson(*command);
  command->add_option("--requests", flags->requests, "How many in all")
      ->capture_default_str()
      ->check(WholeNumber(kSamples, 10'000'000));
  command->add_option("--streams", flags->streams, "How many at once")
      ->capture_default_str()
      ->check(WholeNumber(1, 64));
  command->add_option("--seed", flags->seed, "Which requests")
      ->capture_default_str()
      ->check(WholeNumber(0, UINT32_MAX));
  command->footer("Example: conclave bench soak --requests 10000 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchSoak(*flags); }); });
}

}  // namespace conclave::app
