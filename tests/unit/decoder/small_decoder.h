#pragma once

#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/decoder/scheduler.h"
#include "services/decoder/step_runner.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"

namespace conclave::decoder {

using conclave::testing::MatrixType;
using conclave::testing::SmallLlama;

/// Feed-forward layers of this process that first do what a test says: fail, or count.
class HookedFeedForward final : public engine::FeedForward {
 public:
  using Hook = std::function<Status(int64_t layer)>;

  explicit HookedFeedForward(std::shared_ptr<engine::FeedForwardShard> shard) : local_(std::move(shard)) {}

  Status AddTo(int64_t layer, const engine::FeedForwardInput& input, engine::ThreadPool& pool,
               float* residual) override {
    if (hook) CONCLAVE_RETURN_IF_ERROR(hook(layer));
    return local_.AddTo(layer, input, pool, residual);
  }

  Hook hook;  ///< to be set while no step runs

 private:
  engine::LocalFeedForward local_;
};

/// A scheduler and what runs its steps, with a small model; its tokens are those of a model of 48 tokens and
/// random weights.
struct SmallDecoder {
  explicit SmallDecoder(const DecoderLimits& limits = {},
                        const std::string& model = SmallLlama(MatrixType::kQ8_0).Bytes(),
                        int64_t kv_blocks = 64, std::shared_ptr<KvDiskTier> disk = nullptr,
                        std::optional<engine::KvFormat> kv_format = {})
      : file(*engine::OpenModelFile(folder.Write("small.gguf", model))) {
    const engine::ModelDescription description = *engine::DescribeModel(*file);
    auto transformer = *engine::Transformer::Load(*file, description, *pool);
    auto own =
        std::make_unique<HookedFeedForward>(*engine::FeedForwardShard::LoadAll(*file, description, *pool));
    feed_forward = own.get();
    const engine::KvLayout layout = *transformer->LayoutOfKv(kv_format);
    kv = *engine::KvPool::Create(layout, kv_blocks * layout.block_bytes());
    scheduler = std::make_shared<Scheduler>(limits, *kv, description.architecture.vocabulary,
                                            description.architecture.context, std::string(), std::move(disk));
    runner = std::make_shared<StepRunner>(std::move(transformer), std::move(own), pool);
  }

  conclave::testing::TemporaryFolder folder;
  std::shared_ptr<engine::ThreadPool> pool = std::make_shared<engine::ThreadPool>(1);
  std::unique_ptr<engine::ModelFile> file;
  std::unique_ptr<engine::KvPool> kv;
  HookedFeedForward* feed_forward = nullptr;  ///< the runner's
  std::shared_ptr<Scheduler> scheduler;
  std::shared_ptr<StepRunner> runner;
};

}  // namespace conclave::decoder
