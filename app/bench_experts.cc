// Experts in other processes. Two figures in one run:
// - what a frame costs on its way: one decode batch's round trip to a shard through memory and on gRPC
//   streams, without the time that the shard computed, beside a bare gRPC echo of the same bytes, whose
//   server lets the same time pass before it answers (threads that wait longer wake up more slowly);
// - what an installation costs: tokens a second of the bare engine with its feed-forward layers in this
//   process, and in two shards of this machine. The figure is the latter's share of the former.

#include <algorithm>
#include <memory>
#include <random>

#include "app/bare_batch.h"
#include "app/bench_report.h"
#include "app/child_processes.h"
#include "app/grpc_echo.h"
#include "app/load_generator.h"
#include "app/temporary_folder.h"
#include "platform/rpc/channels.h"
#include "services/decoder/remote_feed_forward.h"

namespace conclave::app {
namespace {

using decoder::ExpertLink;
using decoder::RemoteFeedForward;
using platform::ExpertTransport;

constexpr int64_t kFrameTokens = 8;
constexpr double kMicro = 1e6;
constexpr int64_t kWarmUp = 100;

struct ExpertsFlags : BenchFlags, BatchShape {
  int64_t round_trips = 1000;
  std::string echo_at;
};

/// Two shards with half of the experts each, one on a Unix socket and one on TCP, and their model.
struct Shards {
  std::unique_ptr<engine::ModelFile> file;
  engine::ModelDescription description;
  std::string model_hash;
  int64_t message_bytes = 0;
  std::unique_ptr<ChildProcesses> processes;

  static constexpr const char* kNames[] = {"experts-unix", "experts-tcp"};

  Result<std::unique_ptr<ExpertLink>> Link(const std::string& name, ExpertTransport transport) const {
    CONCLAVE_ASSIGN_OR_RETURN(auto channel, processes->Open(name));
    return std::make_unique<ExpertLink>(std::move(channel), processes->address(name), transport);
  }

  Result<std::unique_ptr<engine::FeedForward>> FeedForward(ExpertTransport transport) const {
    std::vector<std::unique_ptr<ExpertLink>> links;
    for (const char* name : kNames) {
      CONCLAVE_ASSIGN_OR_RETURN(links.emplace_back(), Link(name, transport));
    }
    const engine::ExpertLayout layout(*file, description);
    return std::unique_ptr<engine::FeedForward>(new RemoteFeedForward(
        std::move(links), decoder::ShardExpectation::Of(layout, model_hash, message_bytes)));
  }
};

Result<Shards> StartShards(const BenchModel& bench, const std::filesystem::path& folder) {
  Shards shards{.model_hash = bench.source.hash, .message_bytes = bench.config.limits.message_bytes};
  CONCLAVE_ASSIGN_OR_RETURN(shards.file, engine::OpenModelFile(bench.source.path));
  CONCLAVE_ASSIGN_OR_RETURN(shards.description, engine::DescribeModel(*shards.file));
  const int64_t experts = engine::ExpertLayout(*shards.file, shards.description).most();
  if (experts < 2) return FailedPrecondition("the model's feed-forward layers cannot be split in two");
  // They compute side by side, while this process waits.
  const int64_t threads = std::max(1, bench.pool->size() / 2);
  std::vector<ChildProcesses::Process> processes;
  for (int64_t shard = 0; shard < 2; ++shard) {
    processes.push_back(
        {.name = Shards::kNames[shard], .services = {"experts"}, .threads = threads, .tcp = shard == 1});
    for (int64_t expert = shard; expert < experts; expert += 2) processes.back().experts.push_back(expert);
  }
  platform::Config config = bench.config;
  config.model = bench.source.path;
  CONCLAVE_ASSIGN_OR_RETURN(shards.processes, ChildProcesses::Start(config, folder, processes));
  return shards;
}

/// An echo server in a process of its own, and a client on the fastest of gRPC's ways of waiting.
struct Echo {
  std::unique_ptr<ChildServer> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<EchoClient> client;

  static Result<Echo> Start(const std::string& address) {
    Echo echo;
    CONCLAVE_ASSIGN_OR_RETURN(echo.server, ChildServer::Start({"bench", "experts", "--echo-at", address}));
    CONCLAVE_ASSIGN_OR_RETURN(const nlohmann::json ready, echo.server->WaitUntilReady());
    const std::string bound = ready["addresses"].front();
    CONCLAVE_ASSIGN_OR_RETURN(echo.channel, platform::OpenChannel(bound, {}, size_t{64} << 20));
    echo.client = std::make_unique<EchoClient>(echo.channel);
    return echo;
  }
};

/// A frame with one decode batch for an expert, as a decoder makes it.
class DecodeFrame {
 public:
  DecodeFrame(const engine::FeedForwardShard& shard, int64_t expert, const std::string& model_hash)
      : hidden_(shard.hidden()), floats_(kFrameTokens * hidden_), outputs_(kFrameTokens * hidden_) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& x : floats_) x = normal(random);
    input_ = {.tokens = kFrameTokens, .x = floats_.data()};
    if (shard.quantised(0)) {
      blocks_.Resize(kFrameTokens, hidden_);
      for (int64_t row = 0; row < kFrameTokens; ++row) {
        engine::BestKernels().quantise_row(floats_.data() + row * hidden_, row, blocks_);
      }
      input_.x8 = &blocks_;
    }
    const engine::ExpertWork work{.expert = expert, .tokens = kFrameTokens};
    const decoder::WorkShare all{.work = 0, .begin = 0, .end = kFrameTokens};
    frame_ = decoder::MakeFrames(input_, {&work, 1}, {&all, 1}, hidden_, kFrameTokens).front();
    frame_.request.set_model_hash(model_hash);
  }

  /// Seconds of a round trip without those that the shard computed.
  Result<double> RoundTrip(ExpertLink& link) {
    const auto start = BenchClock::now();
    CONCLAVE_RETURN_IF_ERROR(link.Send(frame_.request));
    CONCLAVE_RETURN_IF_ERROR(
        link.Receive(answer_, std::chrono::steady_clock::now() + std::chrono::seconds(10)));
    CONCLAVE_RETURN_IF_ERROR(decoder::TakeAnswer(frame_, answer_.output(), hidden_, outputs_.data()));
    const double seconds = SecondsSince(start);
    request_bytes = frame_.request.ByteSizeLong();
    answer_bytes = answer_.ByteSizeLong();
    compute_s.push_back(static_cast<double>(answer_.compute_ns()) * 1e-9);
    return seconds - compute_s.back();
  }

  size_t request_bytes = 0;
  size_t answer_bytes = 0;
  std::vector<double> compute_s;

 private:
  int64_t hidden_;
  std::vector<float> floats_;
  engine::QuantisedRows blocks_;
  engine::FeedForwardInput input_;
  decoder::ExpertFrame frame_;
  v1::ExchangeResponse answer_;
  std::vector<float> outputs_;
};

/// One kind of round trip.
struct Way {
  std::string name;
  std::function<Result<std::vector<double>>(int64_t count)> run;
  std::vector<double> seconds = {};
};

template <typename Trip>
std::function<Result<std::vector<double>>(int64_t)> Repeat(Trip trip) {
  return [trip](int64_t count) -> Result<std::vector<double>> {
    std::vector<double> seconds;
    for (int64_t i = 0; i < count; ++i) {
      CONCLAVE_ASSIGN_OR_RETURN(seconds.emplace_back(), trip());
    }
    return seconds;
  };
}

/// The ways in turn, some round trips of each at a time.
Status RunInTurn(std::vector<Way>& ways, int64_t round_trips) {
  constexpr int64_t kRounds = 20;
  const int64_t each = std::max<int64_t>(1, round_trips / kRounds);
  for (Way& way : ways) CONCLAVE_RETURN_IF_ERROR(way.run(each).status());
  for (int64_t round = 0; round < kRounds; ++round) {
    for (Way& way : ways) {
      CONCLAVE_ASSIGN_OR_RETURN(const std::vector<double> seconds, way.run(each));
      way.seconds.insert(way.seconds.end(), seconds.begin(), seconds.end());
    }
  }
  return Status::Ok();
}

Result<nlohmann::json> MeasureRoundTrips(const ExpertsFlags& flags, const BenchModel& bench,
                                         const Shards& shards, const std::filesystem::path& folder) {
  CONCLAVE_ASSIGN_OR_RETURN(const Echo unix_echo, Echo::Start("unix:" + (folder / "echo.sock").string()));
  CONCLAVE_ASSIGN_OR_RETURN(const Echo tcp_echo, Echo::Start("127.0.0.1:0"));
  CONCLAVE_ASSIGN_OR_RETURN(const auto memory, shards.Link(Shards::kNames[0], ExpertTransport::kMemory));
  CONCLAVE_ASSIGN_OR_RETURN(const auto unix_link, shards.Link(Shards::kNames[0], ExpertTransport::kStream));
  CONCLAVE_ASSIGN_OR_RETURN(const auto tcp_link, shards.Link(Shards::kNames[1], ExpertTransport::kStream));
  DecodeFrame even(bench.model->feed_forward(), 0, bench.source.hash);
  DecodeFrame odd(bench.model->feed_forward(), 1, bench.source.hash);
  CONCLAVE_RETURN_IF_ERROR(Repeat([&] { return even.RoundTrip(*unix_link); })(kWarmUp).status());
  const EchoShape shape{.request_bytes = even.request_bytes,
                        .answer_bytes = even.answer_bytes,
                        .pause_s = Quantile(even.compute_s, 0.5)};
  const auto echo = [&](const Echo& with) {
    return Repeat([&with, shape]() -> Result<double> {
      const auto start = BenchClock::now();
      CONCLAVE_RETURN_IF_ERROR(with.client->RoundTrip(shape));
      return SecondsSince(start) - shape.pause_s;
    });
  };
  const auto callbacks = [&](const Echo& with) {
    return [&with, shape](int64_t count) { return EchoOnCallbacks(with.channel, shape, count); };
  };
  std::vector<Way> ways = {{"memory", Repeat([&] { return even.RoundTrip(*memory); })},
                           {"unix", Repeat([&] { return even.RoundTrip(*unix_link); })},
                           {"tcp", Repeat([&] { return odd.RoundTrip(*tcp_link); })},
                           {"echo_unix", echo(unix_echo)},
                           {"echo_unix_callbacks", callbacks(unix_echo)},
                           {"echo_tcp", echo(tcp_echo)},
                           {"echo_tcp_callbacks", callbacks(tcp_echo)}};
  CONCLAVE_RETURN_IF_ERROR(RunInTurn(ways, flags.round_trips));
  nlohmann::json row = {
      {"tokens", kFrameTokens}, {"request_bytes", shape.request_bytes}, {"answer_bytes", shape.answer_bytes}};
  for (const Way& way : ways) row[way.name + "_p50_us"] = kMicro * Quantile(way.seconds, 0.5);
  row["compute_p50_us"] = kMicro * Quantile(even.compute_s, 0.5);
  const auto us = [&](const std::string& name) { return row[name + "_p50_us"].get<double>(); };
  const double unix_us = std::min(us("echo_unix"), us("echo_unix_callbacks"));
  const double tcp_us = std::min(us("echo_tcp"), us("echo_tcp_callbacks"));
  row["memory_of_unix_echo"] = us("memory") / unix_us;
  row["unix_of_echo"] = us("unix") / unix_us;
  row["tcp_of_echo"] = us("tcp") / tcp_us;
  return row;
}

/// The same batch with each way to the feed-forward layers in turn; tokens a second of each, and the share
/// of the first that each of the others reaches.
Result<nlohmann::json> MeasureThroughput(const ExpertsFlags& flags, const BenchModel& bench,
                                         const Shards& shards, double& share) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto memory, shards.FeedForward(ExpertTransport::kMemory));
  CONCLAVE_ASSIGN_OR_RETURN(const auto streams, shards.FeedForward(ExpertTransport::kStream));
  const std::vector<std::pair<std::string, engine::FeedForward*>> sides = {
      {"one_process", &bench.model->local_layers()}, {"memory", memory.get()}, {"streams", streams.get()}};
  const engine::KvLayout& layout = bench.model->kv().layout();
  const int64_t blocks = flags.streams * engine::KvBlocksFor(flags.prompt + flags.tokens);
  CONCLAVE_ASSIGN_OR_RETURN(const auto kv, engine::KvPool::Create(layout, blocks * layout.block_bytes()));
  ProgressBar bar("experts");
  std::vector<std::vector<double>> decode(sides.size()), prompts(sides.size()), shares(sides.size());
  for (int64_t round = 0; round <= flags.repeats; ++round) {  // The first round warms up and does not count.
    bar.Update(round, flags.repeats + 1);
    for (size_t i = 0; i < sides.size(); ++i) {
      CONCLAVE_ASSIGN_OR_RETURN(const BatchTimes times, RunBareBatch(*bench.model, *sides[i].second, *kv,
                                                                     flags, bench.config.limits.step_tokens));
      if (round == 0) continue;
      decode[i].push_back(static_cast<double>(flags.streams * flags.tokens) / times.decode_s);
      prompts[i].push_back(static_cast<double>(flags.streams * flags.prompt) / times.prompt_s);
      shares[i].push_back(decode[i].back() / decode[0].back());
    }
  }
  nlohmann::json row = {
      {"streams", flags.streams}, {"prompt_tokens", flags.prompt}, {"tokens", flags.tokens}};
  for (size_t i = 0; i < sides.size(); ++i) {
    row[sides[i].first] = {{"decode_tokens_per_s", Median(decode[i])},
                           {"prompt_tokens_per_s", Median(prompts[i])},
                           {"share_of_one_process", Median(shares[i])},
                           {"all", decode[i]}};
  }
  share = Median(shares[1]);
  return row;
}

Status BenchExperts(const ExpertsFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const BenchModel bench,
                            BenchModel::Load(flags.common, flags.prompt + flags.tokens));
  CONCLAVE_ASSIGN_OR_RETURN(const auto folder, TemporaryFolder::Make());
  CONCLAVE_ASSIGN_OR_RETURN(const Shards shards, StartShards(bench, folder->path()));
  double share = 0.0;
  CONCLAVE_ASSIGN_OR_RETURN(nlohmann::json trips, MeasureRoundTrips(flags, bench, shards, folder->path()));
  CONCLAVE_ASSIGN_OR_RETURN(nlohmann::json throughput, MeasureThroughput(flags, bench, shards, share));
  nlohmann::json details = bench.Details();
  details.update({{"shards", std::size(Shards::kNames)},
                  {"repeats", flags.repeats},
                  {"round_trip", std::move(trips)},
                  {"throughput", std::move(throughput)}});
  PrintFigure({.name = "experts",
               .value = share,
               .unit = "of one process's decoded tokens/s",
               .limit = 1.0,
               .details = details},
              flags.common.json);
  return Status::Ok();
}

}  // namespace

void AddBenchExperts(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<ExpertsFlags>();
  flags->prompt = 16;
  CLI::App* command = bench.add_subcommand(
      "experts", "What it costs to compute the feed-forward layers in other processes of this machine");
  flags->Add(*command);
  command->add_option("--streams", flags->streams, "Sequences at once")
      ->capture_default_str()
      ->check(WholeNumber(1, 1024));
  AddSequenceLength(*command, flags->prompt, flags->tokens, 1);
  command->add_option("--round-trips", flags->round_trips, "Frames of each kind that are timed")
      ->capture_default_str()
      ->check(WholeNumber(20, 1000000));
  command->add_option("--echo-at", flags->echo_at)->group("");  // How the bench starts its echo servers.
  command->footer("Example: conclave bench experts --streams 16 --json");
  command->callback([flags, &chosen] {
    chosen = RunBench(
        [flags] { return flags->echo_at.empty() ? BenchExperts(*flags) : ServeEcho(flags->echo_at); });
  });
}

}  // namespace conclave::app
