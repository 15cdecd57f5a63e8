#include "platform/rpc/server.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include "platform/config/address.h"
#include "platform/rpc/call_interceptor.h"
#include "platform/rpc/credentials.h"
#include "platform/rpc/grpc_runtime.h"
#include "platform/rpc/listening.h"

namespace conclave::platform {
namespace {

constexpr std::chrono::milliseconds kDrainPoll{5};

void RegisterStandardServicesOnce() {
  static const bool registered = [] {
    KeepGrpcRunning();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)registered;
}

void SetArguments(grpc::ServerBuilder* builder, size_t max_message_bytes) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(max_message_bytes));
  builder->SetMaxSendMessageSize(static_cast<int>(max_message_bytes));
  // Two servers on one port would share its connections at random, instead of the second one being told.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 2);
}

}  // namespace

struct Server::State {
  std::shared_ptr<detail::CallMonitor> monitor = std::make_shared<detail::CallMonitor>();
  size_t max_message_bytes = 0;
  std::vector<std::string> addresses;
  std::unique_ptr<grpc::Server> server;
  std::mutex mutex;
  std::map<std::string, bool> serving;  // guarded by mutex
  bool shut_down = false;               // guarded by mutex

  void PublishHealthLocked() {
    auto* health = server->GetHealthCheckService();
    bool all = true;
    for (const auto& [name, is_serving] : serving) {
      const bool now = is_serving && !monitor->draining;
      health->SetServingStatus(name, now);
      all = all && now;
    }
    health->SetServingStatus("", all);
  }
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              std::vector<NamedService> services) {
  RegisterStandardServicesOnce();
  auto state = std::make_unique<State>();
  state->monitor->metrics = options.metrics;
  state->monitor->internal_methods = options.internal_methods;
  state->monitor->unwatched_methods = options.unwatched_methods;
  state->max_message_bytes = options.max_message_bytes;
  grpc::ServerBuilder builder;
  SetArguments(&builder, options.max_message_bytes);

  std::vector<Address> addresses;
  std::vector<int> ports(options.addresses.size(), 0);
  for (size_t i = 0; i < options.addresses.size(); ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(Address address, ParseAddress(options.addresses[i]));
    if (address.kind == Address::Kind::kInProcess) return InvalidArgument("a server needs no inproc address");
    CONCLAVE_ASSIGN_OR_RETURN(auto credentials, ServerCredentialsFor(address, options.tls, options.insecure));
    CONCLAVE_RETURN_IF_ERROR(PrepareToListen(address));
    builder.AddListeningPort(address.ToString(), credentials, &ports[i]);
    addresses.push_back(std::move(address));
  }
  for (const NamedService& service : services) {
    builder.RegisterService(service.service);
    if (!service.proto_name.empty()) state->serving[service.proto_name] = false;
  }
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(detail::MakeCallInterceptorFactory(state->monitor));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));

  state->server = builder.BuildAndStart();
  if (state->server == nullptr) {
    for (const Address& address : addresses) CONCLAVE_RETURN_IF_ERROR(WhyNotListen(address));
    return FailedPrecondition("cannot listen on " + addresses.front().ToString() +
                              (options.tls.enabled() ? ": the TLS certificate and key do not fit each other"
                                                     : ": gRPC refused it; its log says why"));
  }
  for (size_t i = 0; i < addresses.size(); ++i) {
    if (addresses[i].kind == Address::Kind::kTcp) addresses[i].port = static_cast<uint16_t>(ports[i]);
    state->addresses.push_back(addresses[i].ToString());
  }
  state->PublishHealthLocked();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::~Server() { Shutdown(std::chrono::milliseconds(0)); }

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(state_->max_message_bytes));
  arguments.SetMaxSendMessageSize(static_cast<int>(state_->max_message_bytes));
  return state_->server->InProcessChannel(arguments);
}

const std::vector<std::string>& Server::addresses() const { return state_->addresses; }

void Server::SetServing(const std::string& proto_name, bool serving) {
  std::lock_guard lock(state_->mutex);
  state_->serving[proto_name] = serving;
  state_->PublishHealthLocked();
}

void Server::StartDrain() {
  std::lock_guard lock(state_->mutex);
  state_->monitor->draining = true;
  state_->PublishHealthLocked();
}

size_t Server::RunningCalls() const { return state_->monitor->running_calls; }

bool Server::Drain(std::chrono::milliseconds timeout, const std::function<bool()>& drained) {
  StartDrain();
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (RunningCalls() != 0 || (drained && !drained())) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kDrainPoll);
  }
  return true;
}

void Server::Shutdown(std::chrono::milliseconds grace) {
  {
    std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->shut_down, true)) return;
  }
  state_->server->Shutdown(std::chrono::system_clock::now() + grace);
  state_->server->Wait();
}

}  // namespace conclave::platform
