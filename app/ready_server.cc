#include "app/ready_server.h"

#include <future>
#include <utility>
#include <vector>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "app/bench_report.h"
#include "platform/rpc/channels.h"
#include "platform/rpc/limits.h"

namespace conclave::app {
namespace {

constexpr std::chrono::seconds kReadyTimeout{120};

/// Whether all services say SERVING: grpc.health.v1 by hand, since Debian ships no generated code for it. An
/// empty request asks for all; field 1 of the answer is the status, 1 SERVING.
bool Serves(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kReadyTimeout);
  context.set_wait_for_ready(true);
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> ended;
  grpc::GenericStub(channel).UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                                       [&](grpc::Status status) { ended.set_value(std::move(status)); });
  grpc::Slice answer;
  return ended.get_future().get().ok() && response.DumpToSingleSlice(&answer).ok() && answer.size() == 2 &&
         answer.begin()[0] == 0x08 && answer.begin()[1] == 1;
}

std::vector<std::string> Arguments(const CommonFlags& flags, const std::filesystem::path& data) {
  std::vector<std::string> arguments = {"serve",  "--json",      "--listen",   "127.0.0.1:0",
                                        "--http", "127.0.0.1:0", "--data-dir", data.string()};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) arguments.insert(arguments.end(), {name, value});
  };
  add("--model", flags.model);
  add("--config", flags.config_file);
  add("--kv-type", flags.kv_type);
  add("--threads", flags.threads > 0 ? std::to_string(flags.threads) : "");
  return arguments;
}

}  // namespace

Result<std::unique_ptr<ReadyServer>> ReadyServer::Start(const CommonFlags& flags,
                                                        const std::filesystem::path& data) {
  std::unique_ptr<ReadyServer> server(new ReadyServer);
  const auto start = BenchClock::now();
  CONCLAVE_ASSIGN_OR_RETURN(server->child_, ChildServer::Start(Arguments(flags, data)));
  CONCLAVE_ASSIGN_OR_RETURN(server->ready_, server->child_->WaitUntilReady());
  const std::string address = server->ready_["addresses"].front();
  CONCLAVE_ASSIGN_OR_RETURN(server->channel_,
                            platform::OpenChannel(address, {}, platform::kDefaultMaxMessageBytes));
  if (!Serves(server->channel_)) return Unavailable("the server says that it is ready, but not its health");
  server->start_ms_ = kMilli * SecondsSince(start);
  return server;
}

}  // namespace conclave::app
