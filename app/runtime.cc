#include "app/runtime.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "app/engine_pool.h"
#include "app/model_source.h"
#include "app/thread_room.h"
#include "engine/parallel/thread_pool.h"
#include "platform/config/address.h"
#include "platform/log/log.h"
#include "platform/metrics/http_server.h"
#include "platform/rpc/listening.h"
#include "platform/state/open_state_store.h"
#include "services/decoder/decoder_module.h"
#include "services/experts/experts_module.h"
#include "services/feedback/feedback_module.h"
#include "services/retriever/retriever_module.h"
#include "services/router/router_module.h"
#include "services/tokenizer/tokenizer_module.h"

namespace conclave::app {
namespace {

constexpr std::chrono::milliseconds kShutdownGrace{500};

bool Needs(const platform::ProcessConfig& process, std::string_view service) {
  return std::find(process.services.begin(), process.services.end(), service) != process.services.end();
}

/// The services that read the model's files.
bool NeedsModel(const platform::ProcessConfig& process) {
  return Needs(process, "tokenizer") || Needs(process, "experts") || Needs(process, "decoder");
}

/// That a port is taken is said before weights are packed, not after.
Status CheckAddresses(const platform::ProcessConfig& process) {
  for (const std::string& text : {process.listen, process.http}) {
    if (text.empty()) continue;
    CONCLAVE_ASSIGN_OR_RETURN(const platform::Address address, platform::ParseAddress(text));
    if (address.kind != platform::Address::Kind::kTcp) continue;
    CONCLAVE_RETURN_IF_ERROR(platform::WhyNotListen(address));
  }
  return Status::Ok();
}

Status CheckRoom(const platform::Config& config, platform::StartPhases* phases) {
  const platform::PhaseTimer timer(phases, "asking for threads");
  return CheckThreadRoom(kLibraryThreads + 2 * static_cast<int>(config.threads));
}

}  // namespace

/// What all modules borrow; destroyed after them.
struct Runtime::Shared {
  platform::ActorSystem actors;
  platform::Metrics metrics;
  std::unique_ptr<platform::ChannelRegistry> channels;
  std::unique_ptr<platform::StateStore> state;
  std::unique_ptr<platform::HttpServer> http;
  /// All slices, when they live here: for the decoder, which is made after them.
  std::shared_ptr<engine::FeedForwardShard> local_experts;
};

Runtime::Runtime(const platform::Config& config, const platform::ProcessConfig& process,
                 platform::StartPhases* phases)
    : config_(config), process_(process), phases_(phases), shared_(std::make_unique<Shared>()) {}

Result<std::unique_ptr<Runtime>> Runtime::Start(const platform::Config& config, const std::string& process,
                                                bool listen, platform::StartPhases* phases) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ProcessConfig* found, config.ProcessNamed(process));
  if (listen) CONCLAVE_RETURN_IF_ERROR(CheckAddresses(*found));
  CONCLAVE_RETURN_IF_ERROR(CheckRoom(config, phases));
  std::unique_ptr<Runtime> runtime(new Runtime(config, *found, phases));
  CONCLAVE_RETURN_IF_ERROR(runtime->OpenShared());
  CONCLAVE_RETURN_IF_ERROR(runtime->MakeModules());
  CONCLAVE_RETURN_IF_ERROR(runtime->Listen(listen));
  CONCLAVE_RETURN_IF_ERROR(runtime->StartModules());
  if (listen) CONCLAVE_RETURN_IF_ERROR(runtime->StartHttp());
  return runtime;
}

Status Runtime::OpenShared() {
  shared_->channels = std::make_unique<platform::ChannelRegistry>(
      config_.AllAddresses(process_), config_.tls, static_cast<size_t>(config_.limits.message_bytes));
  if (NeedsModel(process_)) {
    const platform::PhaseTimer timer(phases_, "finding the model and its hash");
    CONCLAVE_ASSIGN_OR_RETURN(model_, FindModel(config_));
  }
  return Status::Ok();
}

Status Runtime::OpenState() {
  // Only the router keeps state in it; another process must not take the lock on its folder.
  if (!Needs(process_, "router") && config_.state.backend != platform::StateBackend::kRedis) {
    return Status::Ok();
  }
  const platform::PhaseTimer timer(phases_, "opening the state's store");
  CONCLAVE_ASSIGN_OR_RETURN(shared_->state,
                            platform::OpenStateStore(config_.state, config_.data_dir / "state"));
  return Status::Ok();
}

platform::ModuleContext Runtime::Context() {
  return {.config = config_,
          .process = process_,
          .actors = shared_->actors.get(),
          .channels = *shared_->channels,
          .metrics = shared_->metrics,
          .state = nullptr,
          .data_dir = config_.data_dir,
          .model = model_,
          .phases = phases_};
}

Runtime::MadeModule Runtime::MakeModule(std::string_view service) {
  if (!Needs(process_, service)) return std::unique_ptr<platform::ServiceModule>();
  auto context = Context();
  if (service == "tokenizer") return tokenizer::MakeTokenizerModule(context);
  if (service == "decoder")
    return decoder::MakeDecoderModule(context, shared_->local_experts, NewEnginePool(config_));
  if (service == "retriever") return retriever::MakeRetrieverModule(context);
  if (service == "feedback") return feedback::MakeFeedbackModule(context);
  if (service == "router") {
    context.state = shared_->state.get();  // Made last: for the others the store may be opening yet.
    return router::MakeRouterModule(context);
  }
  CONCLAVE_ASSIGN_OR_RETURN(experts::ExpertsModule experts,
                            experts::MakeExpertsModule(context, NewEnginePool(config_)));
  if (experts.complete) shared_->local_experts = experts.shard;
  return std::move(experts.module);
}

Status Runtime::AddModule(MadeModule made) {
  CONCLAVE_ASSIGN_OR_RETURN(auto module, std::move(made));
  if (module != nullptr) modules_.push_back(std::move(module));
  return Status::Ok();
}

Status Runtime::MakeModules() {
  // The stores wait for the disk, and the tokenizer uses one processor, while weights are packed on all.
  auto beside = [this](std::string_view service) {
    return std::async(std::launch::async, [this, service] { return MakeModule(service); });
  };
  auto state = std::async(std::launch::async, [this] { return OpenState(); });
  auto tokenizer = beside("tokenizer");
  auto retriever = beside("retriever");
  auto feedback = beside("feedback");
  CONCLAVE_RETURN_IF_ERROR(AddModule(MakeModule("experts")));
  CONCLAVE_RETURN_IF_ERROR(AddModule(MakeModule("decoder")));
  CONCLAVE_RETURN_IF_ERROR(state.get());
  CONCLAVE_RETURN_IF_ERROR(AddModule(tokenizer.get()));
  CONCLAVE_RETURN_IF_ERROR(AddModule(retriever.get()));
  CONCLAVE_RETURN_IF_ERROR(AddModule(feedback.get()));
  // The last one made is the first to go: the router talks to all others.
  return AddModule(MakeModule("router"));
}

Status Runtime::Listen(bool listen) {
  const platform::PhaseTimer timer(phases_, listen ? "listening" : "opening a channel");
  platform::ServerOptions options{.tls = config_.tls,
                                  .insecure = config_.insecure,
                                  .max_message_bytes = static_cast<size_t>(config_.limits.message_bytes),
                                  .metrics = &shared_->metrics};
  if (listen) options.addresses.push_back(process_.listen);
  // Where the router is, clients are: what it calls for them is not for them to call. Who can record answers
  // can make up answers and vote on them; who can generate passes the router's admission by.
  if (Needs(process_, "router")) {
    options.internal_methods = {"/conclave.v1.FeedbackService/Record", "/conclave.v1.DecoderService/Generate",
                                "/conclave.v1.ExpertsService/"};
  }
  // Each layer of each step is a message.
  options.unwatched_methods = {"/conclave.v1.ExpertsService/Exchange"};
  std::vector<platform::NamedService> services;
  for (const auto& module : modules_) {
    services.push_back({module->proto_name(), module->service()});
    for (platform::NamedService& forwarded : module->forwarded()) services.push_back(std::move(forwarded));
  }
  CONCLAVE_ASSIGN_OR_RETURN(server_, platform::Server::Start(options, std::move(services)));
  shared_->channels->BindInProcess(process_.name, server_->InProcessChannel());
  return Status::Ok();
}

Status Runtime::StartModules() {
  const platform::PhaseTimer timer(phases_, "starting the services");
  for (const auto& module : modules_) {
    CONCLAVE_RETURN_IF_ERROR(module->Start().Annotate(module->name()));
    server_->SetServing(module->proto_name(), true);
    for (const platform::NamedService& forwarded : module->forwarded()) {
      if (!forwarded.proto_name.empty()) server_->SetServing(forwarded.proto_name, true);
    }
  }
  return Status::Ok();
}

Status Runtime::StartHttp() {
  if (process_.http.empty()) return Status::Ok();
  CONCLAVE_ASSIGN_OR_RETURN(shared_->http,
                            platform::HttpServer::Start({.address = process_.http,
                                                         .insecure = config_.insecure,
                                                         .metrics = &shared_->metrics,
                                                         .ready = [this] { return !draining_; }}));
  return Status::Ok();
}

std::shared_ptr<grpc::Channel> Runtime::InProcessChannel() { return server_->InProcessChannel(); }

const std::vector<std::string>& Runtime::addresses() const { return server_->addresses(); }

std::string Runtime::http_address() const { return shared_->http == nullptr ? "" : shared_->http->address(); }

bool Runtime::DrainAndStop() {
  if (draining_.exchange(true)) return true;
  for (const auto& module : modules_) module->StartDrain();
  const bool drained = server_->Drain(std::chrono::milliseconds(config_.drain_timeout_ms), [&] {
    return std::all_of(modules_.begin(), modules_.end(),
                       [](const auto& module) { return module->Drained(); });
  });
  server_->Shutdown(kShutdownGrace);
  shared_->channels->local().Close();
  return drained;
}

Runtime::~Runtime() {
  // Requests that just ended may still be telling other services so.
  if (server_ != nullptr) DrainAndStop();
  server_.reset();
  // The router talks to the others, so it goes first: the reverse of the order in which they were made.
  while (!modules_.empty()) modules_.pop_back();
}

}  // namespace conclave::app
