#include "services/decoder/decoder_module.h"

#include <algorithm>
#include <future>
#include <utility>

#include <unistd.h>

#include "platform/log/log.h"
#include "platform/storage/private_folder.h"
#include "services/decoder/decoder_service.h"
#include "services/decoder/generation_config.h"
#include "services/decoder/kv_format.h"
#include "services/decoder/metrics.h"
#include "services/decoder/remote_feed_forward.h"
#include "services/decoder/wire.h"

namespace conclave::decoder {
namespace {

constexpr int64_t kMostDefaultKvBytes = int64_t{1} << 30;

/// What the configuration says, else a quarter of the machine's memory but at most 1 GiB.
int64_t KvBytes(const platform::Config& config) {
  if (config.limits.kv_bytes > 0) return config.limits.kv_bytes;
  const int64_t memory = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  return std::min(memory / 4, kMostDefaultKvBytes);
}

/// What the configuration says, else half of the keys' and values' memory.
int64_t PrefixCacheBytes(const platform::Config& config) {
  const int64_t bytes = config.limits.prefix_cache_bytes;
  return bytes >= 0 ? bytes : KvBytes(config) / 2;
}

/// Null where the configuration wants none, and where it cannot be: the decoder then works without.
std::shared_ptr<KvDiskTier> OpenDisk(const platform::ModuleContext& context) {
  const KvDiskBudget budget{.bytes = context.config.limits.prefix_disk_bytes, .entries = kMostDiskBlocks};
  if (budget.bytes == 0 || PrefixCacheBytes(context.config) == 0) return nullptr;
  const platform::PhaseTimer timer(context.phases, "opening the prefixes on disk");
  const std::filesystem::path folder = context.data_dir / "decoder";
  auto open = [&]() -> Result<std::unique_ptr<KvDiskTier>> {
    CONCLAVE_RETURN_IF_ERROR(platform::MakePrivateFolder(folder));
    CONCLAVE_ASSIGN_OR_RETURN(auto store, KvDiskStore::Open(folder / "prefixes", budget));
    return KvDiskTier::Start(std::move(store));
  };
  auto tier = open();
  if (tier.ok()) return *std::move(tier);
  platform::LogWarning("decoder", "no keys and values are kept on disk: " + tier.status().message());
  return nullptr;
}

/// The decoder with everything that it owns; the scheduler's actor ends with it.
class DecoderModule final : public platform::ServiceModule {
 public:
  DecoderModule(std::unique_ptr<engine::ModelFile> file, std::unique_ptr<engine::KvPool> kv,
                std::shared_ptr<Scheduler> scheduler, caf::actor actor, v1::StatusResponse description,
                platform::LocalStreams& local)
      : file_(std::move(file)),
        kv_(std::move(kv)),
        scheduler_(std::move(scheduler)),
        actor_(std::move(actor)),
        service_(actor_, std::move(description)) {
    service_.OfferStreams(local);
  }

  ~DecoderModule() override {
    // The actor's thread uses what this module owns: wait until it is gone.
    caf::scoped_actor self{actor_.home_system()};
    self->send_exit(actor_, caf::exit_reason::user_shutdown);
    self->wait_for(actor_);
  }

  std::string name() const override { return "decoder"; }
  std::string proto_name() const override { return v1::DecoderService::service_full_name(); }
  grpc::Service* service() override { return &service_; }
  void StartDrain() override { service_.StartDrain(); }

  bool Drained() override {
    auto answer = std::make_shared<std::promise<bool>>();
    auto idle = answer->get_future();
    caf::anon_send(actor_, SnapshotMessage{[answer](const SchedulerStatus& status) {
                     answer->set_value(status.running == 0 && status.queued == 0);
                   }});
    return idle.wait_for(std::chrono::seconds(1)) == std::future_status::ready && idle.get();
  }

 private:
  std::unique_ptr<engine::ModelFile> file_;
  std::unique_ptr<engine::KvPool> kv_;
  std::shared_ptr<Scheduler> scheduler_;
  caf::actor actor_;
  DecoderService service_;
};

Result<std::unique_ptr<engine::FeedForward>> MakeFeedForward(
    const platform::ModuleContext& context, const engine::ModelFile& file,
    const engine::ModelDescription& description, std::shared_ptr<engine::FeedForwardShard> local) {
  if (local != nullptr) {
    return std::unique_ptr<engine::FeedForward>(new engine::LocalFeedForward(std::move(local)));
  }
  CONCLAVE_ASSIGN_OR_RETURN(auto channels, context.channels.All("experts"));
  const auto addresses = context.config.AddressesOf("experts", context.process);
  std::vector<std::unique_ptr<ExpertLink>> links;
  for (size_t i = 0; i < channels.size(); ++i) {
    links.push_back(std::make_unique<ExpertLink>(channels[i], addresses[i], context.config.expert_transport));
  }
  const engine::ExpertLayout layout(file, description);
  auto expected = ShardExpectation::Of(layout, context.model.hash, context.config.limits.message_bytes);
  return std::unique_ptr<engine::FeedForward>(new RemoteFeedForward(std::move(links), std::move(expected)));
}

Result<std::unique_ptr<engine::Transformer>> LoadTransformer(const platform::ModuleContext& context,
                                                             const engine::ModelFile& file,
                                                             const engine::ModelDescription& description,
                                                             engine::ThreadPool& pool) {
  const platform::PhaseTimer timer(context.phases, "packing the decoder's weights");
  CONCLAVE_ASSIGN_OR_RETURN(auto model, engine::Transformer::Load(file, description, pool));
  // The matrices are packed; of the file only rows of embeddings are read from now on.
  file.DropPages();
  return model;
}

}  // namespace

Result<std::unique_ptr<platform::ServiceModule>> MakeDecoderModule(
    const platform::ModuleContext& context, std::shared_ptr<engine::FeedForwardShard> local_experts,
    std::shared_ptr<engine::ThreadPool> pool) {
  CONCLAVE_ASSIGN_OR_RETURN(auto file, engine::OpenModelFile(context.model.path));
  CONCLAVE_ASSIGN_OR_RETURN(auto description, engine::DescribeModel(*file));
  engine::Architecture& architecture = description.architecture;
  const int64_t most_context = context.config.limits.context_tokens;
  if (most_context > 0) architecture.context = std::min(architecture.context, most_context);
  // The disk answers while weights are packed.
  auto opening = std::async(std::launch::async, [&context] { return OpenDisk(context); });
  CONCLAVE_ASSIGN_OR_RETURN(auto model, LoadTransformer(context, *file, description, *pool));
  CONCLAVE_ASSIGN_OR_RETURN(auto feed_forward,
                            MakeFeedForward(context, *file, description, std::move(local_experts)));
  CONCLAVE_ASSIGN_OR_RETURN(const engine::KvLayout layout, model->LayoutOfKv(KvFormatOf(context.config)));
  CONCLAVE_ASSIGN_OR_RETURN(auto kv, engine::KvPool::Create(layout, KvBytes(context.config)));
  CONCLAVE_ASSIGN_OR_RETURN(const engine::SamplingParams defaults, ReadGenerationConfig(context.model.path));

  v1::StatusResponse status;
  status.mutable_model()->set_name(context.model.name);
  status.mutable_model()->set_model_hash(context.model.hash);
  status.set_context_length(static_cast<uint32_t>(architecture.context));
  status.set_vocabulary_size(static_cast<uint32_t>(architecture.vocabulary));
  *status.mutable_default_sampling() = ToWire(defaults);
  status.set_kernels(std::string(engine::BestKernels().name));

  const DecoderLimits limits{.running_sequences = context.config.limits.running_sequences,
                             .queued_sequences = context.config.limits.queued_requests,
                             .queued_tokens = context.config.limits.queued_tokens,
                             .step_tokens = context.config.limits.step_tokens,
                             .prefix_cache_bytes = PrefixCacheBytes(context.config),
                             .draft_tokens = context.config.limits.draft_tokens,
                             .slowdown_percent = context.config.limits.slowdown_percent};
  const std::shared_ptr<KvDiskTier> disk = opening.get();
  auto scheduler = std::make_shared<Scheduler>(limits, *kv, architecture.vocabulary, architecture.context,
                                               context.model.hash, disk);
  auto runner = std::make_shared<StepRunner>(std::move(model), std::move(feed_forward), std::move(pool));
  auto actor = context.actors.spawn<SchedulerActor, caf::detached>(
      scheduler, std::move(runner), std::make_shared<DecoderMetrics>(context.metrics));
  if (disk != nullptr) disk->OnLoaded([actor] { caf::anon_send(actor, ReadyMessage{}); });
  return std::unique_ptr<platform::ServiceModule>(
      new DecoderModule(std::move(file), std::move(kv), std::move(scheduler), std::move(actor),
                        std::move(status), context.channels.local()));
}

}  // namespace conclave::decoder
