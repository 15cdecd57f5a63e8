#include "services/feedback/feedback_module.h"

#include <filesystem>
#include <utility>

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "platform/storage/private_folder.h"
#include "services/feedback/change_queue.h"
#include "services/feedback/export_actor.h"
#include "services/feedback/feedback_desk.h"
#include "services/feedback/feedback_service.h"
#include "services/feedback/feedback_store.h"
#include "services/feedback/rating_actor.h"
#include "services/feedback/signing_key.h"
#include "services/feedback/writer_actor.h"

namespace conclave::feedback {
namespace {

class FeedbackModule final : public platform::ServiceModule {
 public:
  FeedbackModule(const platform::ModuleContext& context, std::unique_ptr<platform::DurableStore> durable,
                 VoteTokenSigner signer)
      : actors_(context.actors),
        durable_(std::move(durable)),
        store_(*durable_),
        writer_(actors_.spawn<caf::detached>(WriterActor, &store_, &context.metrics)),
        rating_(actors_.spawn(RatingActor, writer_)),
        queue_(rating_, context.metrics),
        desk_(std::move(signer), queue_, context.metrics, SystemNowMs),
        service_(actors_, *durable_, desk_, exports_) {}

  ~FeedbackModule() override {
    exports_.WaitUntilFree();
    caf::anon_send_exit(rating_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(writer_, caf::exit_reason::user_shutdown);
    caf::scoped_actor self(actors_);
    self->wait_for(rating_, writer_);
  }

  std::string name() const override { return "feedback"; }
  std::string proto_name() const override { return v1::FeedbackService::service_full_name(); }
  grpc::Service* service() override { return &service_; }
  bool Drained() override { return queue_.idle(); }

 private:
  caf::actor_system& actors_;
  const std::unique_ptr<platform::DurableStore> durable_;
  FeedbackStore store_;
  const caf::actor writer_;
  const caf::actor rating_;
  ChangeQueue queue_;
  FeedbackDesk desk_;
  ExportSlots exports_;
  FeedbackService service_;
};

}  // namespace

Result<std::unique_ptr<platform::ServiceModule>> MakeFeedbackModule(const platform::ModuleContext& context) {
  const platform::PhaseTimer timer(context.phases, "opening feedback's store");
  const std::filesystem::path folder = context.data_dir / "feedback";
  CONCLAVE_RETURN_IF_ERROR(platform::MakePrivateFolder(folder));
  CONCLAVE_ASSIGN_OR_RETURN(auto durable, platform::DurableStore::Open(folder / "store"));
  CONCLAVE_ASSIGN_OR_RETURN(std::string key, LoadOrCreateSigningKey(folder / "vote_token.key"));
  return std::unique_ptr<platform::ServiceModule>(
      std::make_unique<FeedbackModule>(context, std::move(durable), VoteTokenSigner(std::move(key))));
}

}  // namespace conclave::feedback
