#include "services/router/router_module.h"

#include <utility>

#include "services/router/admission_actor.h"
#include "services/router/forwards.h"
#include "services/router/router_service.h"
#include "services/router/service_backends.h"
#include "services/router/session_actor.h"

namespace conclave::router {
namespace {

class RouterModule final : public platform::ServiceModule {
 public:
  RouterModule(const platform::ModuleContext& context, caf::actor admission, caf::actor sessions,
               Forwards forwards)
      : forwards_(std::move(forwards)),
        admission_(std::move(admission)),
        sessions_(std::move(sessions)),
        backends_(std::make_shared<ServiceBackends>(context.channels, admission_, sessions_)),
        service_(context.actors, backends_, sessions_,
                 context.config.limits.queued_requests + context.config.limits.running_sequences) {}

  ~RouterModule() override {
    caf::scoped_actor self{admission_.home_system()};
    for (const caf::actor& actor : {admission_, sessions_}) {
      self->send_exit(actor, caf::exit_reason::user_shutdown);
      self->wait_for(actor);
    }
  }

  std::string name() const override { return "router"; }
  std::string proto_name() const override { return v1::RouterService::service_full_name(); }
  grpc::Service* service() override { return &service_; }
  std::vector<platform::NamedService> forwarded() override { return forwards_.services(); }
  Status Start() override { return backends_->Open(); }
  void StartDrain() override { service_.StartDrain(); }
  bool Drained() override { return service_.Drained() && forwards_.idle(); }

 private:
  const Forwards forwards_;
  caf::actor admission_;
  caf::actor sessions_;
  std::shared_ptr<ServiceBackends> backends_;
  RouterService service_;
};

}  // namespace

Result<std::unique_ptr<platform::ServiceModule>> MakeRouterModule(const platform::ModuleContext& context) {
  CONCLAVE_ASSIGN_OR_RETURN(Forwards forwards, Forwards::Make(context.channels));
  const platform::LimitsConfig& limits = context.config.limits;
  const FairQueueLimits queue{.running_answers = limits.running_sequences,
                              .queued_requests = limits.queued_requests,
                              .queued_tokens = limits.queued_tokens};
  auto admission = context.actors.spawn<AdmissionActor>(queue, context.metrics);
  auto sessions =
      context.actors.spawn<SessionActor, caf::detached>(*context.state, limits.session_ttl_s * 1000);
  return std::unique_ptr<platform::ServiceModule>(
      new RouterModule(context, std::move(admission), std::move(sessions), std::move(forwards)));
}

}  // namespace conclave::router
