#include "services/experts/experts_module.h"

#include <utility>

#include "services/experts/experts_service.h"

namespace conclave::experts {
namespace {

class Module final : public platform::ServiceModule {
 public:
  Module(caf::actor actor, std::shared_ptr<FrameComputer> computer,
         v1::ExpertsServiceDescribeResponse description)
      : actor_(std::move(actor)), service_(actor_, std::move(computer), std::move(description)) {}

  ~Module() override {
    caf::scoped_actor self{actor_.home_system()};
    self->send_exit(actor_, caf::exit_reason::user_shutdown);
    self->wait_for(actor_);
  }

  std::string name() const override { return "experts"; }
  std::string proto_name() const override { return v1::ExpertsService::service_full_name(); }
  grpc::Service* service() override { return &service_; }

 private:
  caf::actor actor_;
  ExpertsService service_;
};

v1::ExpertsServiceDescribeResponse Describe(const platform::ModelSource& model,
                                            const engine::FeedForwardShard& shard, int64_t total_slices) {
  v1::ExpertsServiceDescribeResponse description;
  description.mutable_model()->set_name(model.name);
  description.mutable_model()->set_model_hash(model.hash);
  description.set_layers(static_cast<uint32_t>(shard.layers()));
  description.set_hidden_size(static_cast<uint32_t>(shard.hidden()));
  description.set_total_slices(static_cast<uint32_t>(total_slices));
  for (const int64_t slice : shard.experts()) description.add_slices(static_cast<uint32_t>(slice));
  description.set_weight_bytes(static_cast<uint64_t>(shard.weight_bytes()));
  return description;
}

}  // namespace

Result<ExpertsModule> MakeExpertsModule(const platform::ModuleContext& context,
                                        std::shared_ptr<engine::ThreadPool> pool) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto file, engine::OpenModelFile(context.model.path));
  CONCLAVE_ASSIGN_OR_RETURN(const auto description, engine::DescribeModel(*file));
  const int64_t total = engine::ExpertLayout(*file, description).most();
  const std::vector<int64_t>& slices = context.process.expert_slices;
  const platform::PhaseTimer timer(context.phases, "packing the experts' weights");
  CONCLAVE_ASSIGN_OR_RETURN(
      auto loaded, slices.empty() ? engine::FeedForwardShard::LoadAll(*file, description, *pool)
                                  : engine::FeedForwardShard::Load(*file, description, slices, *pool));
  std::shared_ptr<engine::FeedForwardShard> shard = std::move(loaded);
  auto computer = std::make_shared<FrameComputer>(shard, std::move(pool), context.model.hash);
  auto actor = context.actors.spawn<ShardActor, caf::detached>(computer);
  ExpertsModule made;
  made.complete = static_cast<int64_t>(shard->experts().size()) == total;
  made.module =
      std::make_unique<Module>(std::move(actor), std::move(computer), Describe(context.model, *shard, total));
  made.shard = std::move(shard);
  return made;
}

}  // namespace conclave::experts
