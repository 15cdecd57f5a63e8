#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "platform/module.h"
#include "platform/rpc/server.h"
#include "platform/state/open_state_store.h"
#include "services/decoder/decoder_module.h"
#include "services/experts/experts_module.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/decoder/generate_client.h"

namespace conclave {
namespace {

using conclave::testing::MatrixType;
using conclave::testing::SmallFeedForward;
using decoder::GenerateClient;
using decoder::Heard;

constexpr int32_t kBrokenToken = 40;

/// Which experts live in which shard; none: all are called in the decoder's own process.
struct Placement {
  const char* name;
  std::vector<std::vector<int64_t>> shards;
  SmallFeedForward feed_forward = SmallFeedForward::kDense;
  platform::ExpertTransport transport = platform::ExpertTransport::kMemory;
};

/// A process with one service.
struct Process {
  platform::ProcessConfig config;
  std::unique_ptr<platform::ServiceModule> module;
  std::unique_ptr<platform::Server> server;
};

/// Decoder and shards as an installation runs them, in one process and in several.
class Installation {
 public:
  Installation(const Placement& placement, const std::string& model) {
    state_ = *platform::OpenRocksDbStateStore(folder_.path() + "/state", [] { return int64_t{1}; });
    model_ = {.name = "small", .path = folder_.Write("small.gguf", model), .hash = std::string(64, 'a')};
    config_.limits.kv_bytes = 8 << 20;
    config_.expert_transport = placement.transport;
    Process decoder{.config = {.name = "decoder", .services = {"decoder"}}};
    for (const auto& slices : placement.shards) {
      const std::string name = "experts-" + std::to_string(shards_.size());
      const std::string address = "unix:" + folder_.path() + "/" + name + ".sock";
      shards_.push_back(
          {.config = {.name = name, .services = {"experts"}, .listen = address, .expert_slices = slices}});
      config_.processes.push_back(shards_.back().config);
    }
    config_.processes.push_back(decoder.config);
    channels_ = std::make_unique<platform::ChannelRegistry>(config_.AllAddresses(decoder.config), config_.tls,
                                                            config_.limits.message_bytes);
    for (Process& shard : shards_)
      Serve(shard, std::move(experts::MakeExpertsModule(Context(shard), Threads())->module));
    std::shared_ptr<engine::FeedForwardShard> local;
    if (shards_.empty()) {
      auto made = *experts::MakeExpertsModule(Context(decoder), Threads());
      EXPECT_TRUE(made.complete);
      local = made.shard;
    }
    decoder_ = std::move(decoder);
    Serve(decoder_, *decoder::MakeDecoderModule(Context(decoder_), std::move(local), Threads()));
    stub = v1::DecoderService::NewStub(decoder_.server->InProcessChannel());
  }

  ~Installation() {
    stub.reset();
    End(decoder_);
    for (Process& shard : shards_) End(shard);
  }

 private:
  static std::shared_ptr<engine::ThreadPool> Threads() { return std::make_shared<engine::ThreadPool>(1); }

  platform::ModuleContext Context(const Process& process) {
    return {config_,  process.config, actors_.get(),  *channels_,
            metrics_, state_.get(),   folder_.path(), model_};
  }

  static void Serve(Process& process, std::unique_ptr<platform::ServiceModule> module) {
    process.module = std::move(module);
    platform::ServerOptions options;
    if (!process.config.listen.empty()) options.addresses = {process.config.listen};
    auto server =
        platform::Server::Start(options, {{process.module->proto_name(), process.module->service()}});
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    process.server = *std::move(server);
    EXPECT_TRUE(process.module->Start().ok());
  }

  static void End(Process& process) {
    process.server->Shutdown(std::chrono::milliseconds(0));
    process.server.reset();
    process.module.reset();
  }

  conclave::testing::TemporaryFolder folder_;
  platform::Config config_;
  platform::ActorSystem actors_;
  platform::Metrics metrics_;
  std::unique_ptr<platform::StateStore> state_;
  platform::ModelSource model_;
  std::unique_ptr<platform::ChannelRegistry> channels_;
  std::vector<Process> shards_;
  Process decoder_;

 public:
  std::unique_ptr<v1::DecoderService::Stub> stub;
};

v1::AdmitSequence Sequence(uint64_t id, double temperature) {
  v1::AdmitSequence sequence;
  sequence.set_sequence_id(id);
  for (uint64_t i = 0; i < 3 + 5 * id; ++i)
    sequence.add_prompt_token_ids(static_cast<int32_t>((id + i * i) % 40));
  sequence.mutable_sampling()->set_max_tokens(20);
  sequence.mutable_sampling()->set_temperature(temperature);
  sequence.mutable_sampling()->set_seed(1000 + id);
  (*sequence.mutable_sampling()->mutable_logit_bias())[kBrokenToken] = -100.0;  // Only prompts may hold it.
  return sequence;
}

/// The same behaviour wherever the experts live.
class ExpertPathsTest : public ::testing::TestWithParam<Placement> {
 protected:
  static constexpr uint64_t kSequences = 8;

  /// All sequences at once, whose tokens are asked for.
  static std::vector<std::vector<int32_t>> Answers(Installation& installation, double temperature) {
    GenerateClient client(*installation.stub);
    for (uint64_t id = 0; id < kSequences; ++id) client.Admit(Sequence(id, temperature));
    std::vector<std::vector<int32_t>> answers;
    for (uint64_t id = 0; id < kSequences; ++id) {
      const Heard& heard = client.UntilEnd(id);
      EXPECT_EQ(heard.end.error_code(), 0) << heard.end.error_message();
      EXPECT_EQ(heard.tokens.size(), 20u);
      answers.push_back(heard.tokens);
    }
    return answers;
  }

  static const Placement& InOneProcess() {
    static const Placement placement{"InOneProcess", {}};
    return placement;
  }
};

INSTANTIATE_TEST_SUITE_P(Placements, ExpertPathsTest,
                         ::testing::Values(Placement{"InOneProcess", {}},
                                           Placement{"OneShard", {{0, 1, 2, 3}}},
                                           Placement{"TwoShards", {{0, 2}, {1, 3}}},
                                           Placement{"FourShards", {{3}, {1}, {0}, {2}}},
                                           Placement{"ThreeShardsThatShare", {{0, 1, 2, 3}, {0, 1}, {2, 3}}},
                                           Placement{"TwoShardsOnStreams",
                                                     {{0, 2}, {1, 3}},
                                                     SmallFeedForward::kDense,
                                                     platform::ExpertTransport::kStream}),
                         [](const auto& info) { return info.param.name; });

/// Six experts that are chosen from, and a shared one.
INSTANTIATE_TEST_SUITE_P(
    MixturePlacements, ExpertPathsTest,
    ::testing::Values(Placement{"OneShard", {{0, 1, 2, 3, 4, 5, 6}}, SmallFeedForward::kMixture},
                      Placement{"TwoShards", {{0, 2, 4, 6}, {1, 3, 5}}, SmallFeedForward::kMixture},
                      Placement{"FourShards", {{6}, {5, 0}, {1}, {4, 3, 2}}, SmallFeedForward::kMixture},
                      Placement{"FourShardsOnStreams",
                                {{6}, {5, 0}, {1}, {4, 3, 2}},
                                SmallFeedForward::kMixture,
                                platform::ExpertTransport::kStream}),
    [](const auto& info) { return info.param.name; });

/// Experts with biases and clamped SwiGLU, all of them chosen from.
INSTANTIATE_TEST_SUITE_P(
    GptOssPlacements, ExpertPathsTest,
    ::testing::Values(Placement{"OneShard", {{0, 1, 2, 3, 4, 5, 6}}, SmallFeedForward::kGptOss},
                      Placement{"ThreeShards", {{6, 0}, {5, 1, 3}, {4, 2}}, SmallFeedForward::kGptOss}),
    [](const auto& info) { return info.param.name; });

/// A dense layer of four slices, then one of six experts and a shared one; latent attention in the decoder.
INSTANTIATE_TEST_SUITE_P(
    DeepseekPlacements, ExpertPathsTest,
    ::testing::Values(Placement{"OneShard", {{0, 1, 2, 3, 4, 5, 6}}, SmallFeedForward::kDeepseek},
                      Placement{"ThreeShards", {{6, 0}, {5, 1, 3}, {4, 2}}, SmallFeedForward::kDeepseek}),
    [](const auto& info) { return info.param.name; });

TEST_P(ExpertPathsTest, TokensAreThoseOfOneProcess) {
  const auto model = conclave::testing::SmallModel(GetParam().feed_forward, MatrixType::kQ8_0, 256).Bytes();
  Installation here(InOneProcess(), model);
  Installation there(GetParam(), model);
  for (const double temperature : {0.0, 0.8}) {
    EXPECT_EQ(Answers(there, temperature), Answers(here, temperature)) << temperature;
  }
}

/// A hidden state that became NaN (damaged weights) is one sequence's failure on every path.
TEST_P(ExpertPathsTest, SequenceThatBecomesNanFailsAlone) {
  for (const MatrixType type : {MatrixType::kF32, MatrixType::kQ8_0}) {
    const std::string model =
        conclave::testing::SmallModelWithBrokenToken(GetParam().feed_forward, type, kBrokenToken);
    Installation here(InOneProcess(), model);
    const auto expected = Answers(here, 0.8);
    Installation there(GetParam(), model);
    GenerateClient client(*there.stub);
    v1::AdmitSequence broken = Sequence(kSequences, 0.8);
    broken.set_prompt_token_ids(1, kBrokenToken);
    client.Admit(broken);
    for (uint64_t id = 0; id < kSequences; ++id) client.Admit(Sequence(id, 0.8));
    const Heard& failed = client.UntilEnd(kSequences);
    EXPECT_EQ(failed.end.error_code(), static_cast<int>(grpc::StatusCode::INTERNAL))
        << failed.end.error_message();
    EXPECT_TRUE(failed.tokens.empty());
    for (uint64_t id = 0; id < kSequences; ++id) {
      const Heard& heard = client.UntilEnd(id);
      EXPECT_EQ(heard.end.error_code(), 0) << heard.end.error_message();
      EXPECT_EQ(heard.tokens, expected[id]) << id;
    }
  }
}

}  // namespace
}  // namespace conclave
