#include "platform/metrics/http_server.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <httplib.h>
#include <sys/socket.h>

#include "platform/config/address.h"
#include "platform/metrics/limits.h"
#include "platform/rpc/listening.h"

namespace conclave::platform {
namespace {

constexpr char kPlainText[] = "text/plain; charset=utf-8";
constexpr char kPrometheusText[] = "text/plain; version=0.0.4; charset=utf-8";

/// A few threads; when too many connections wait for one, the accepting thread serves the next itself, so
/// that further ones wait in the kernel's bounded queue.
class BoundedTasks final : public httplib::TaskQueue {
 public:
  BoundedTasks() : pool_(kHttpThreads) {}

  void enqueue(std::function<void()> task) override {
    if (waiting_ >= kMaxHttpWaiting) return task();
    ++waiting_;
    pool_.enqueue([this, task = std::move(task)] {
      --waiting_;
      task();
    });
  }
  void shutdown() override { pool_.shutdown(); }

 private:
  std::atomic<size_t> waiting_{0};
  httplib::ThreadPool pool_;
};

}  // namespace

struct HttpServer::State {
  Options options;
  std::string address;
  httplib::Server server;
  std::thread thread;

  void AddRoutes() {
    server.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(options.metrics->Exposition(), kPrometheusText);
    });
    server.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("alive\n", kPlainText);
    });
    server.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const bool ready = options.ready && options.ready();
      response.status = ready ? 200 : 503;
      response.set_content(ready ? "ready\n" : "not ready\n", kPlainText);
    });
  }

  void SetLimits() {
    server.new_task_queue = [] { return new BoundedTasks(); };
    server.set_payload_max_length(kMaxHttpBodyBytes);
    server.set_read_timeout(kHttpTimeoutS);
    server.set_write_timeout(kHttpTimeoutS);
    server.set_keep_alive_max_count(1);  // an idle connection would hold a thread that a probe waits for
    // The library's own choice would let a second process share the port unnoticed.
    server.set_socket_options([](int descriptor) {
      const int yes = 1;
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(Options options) {
  CONCLAVE_ASSIGN_OR_RETURN(Address address, ParseAddress(options.address));
  if (address.kind != Address::Kind::kTcp) return InvalidArgument("http: HOST:PORT is needed");
  if (!IsLoopbackHost(address.name) && !options.insecure) {
    return FailedPrecondition("refusing to serve HTTP on " + address.ToString() +
                              " without encryption; use a loopback address, or set insecure: true");
  }
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  state->AddRoutes();
  state->SetLimits();
  int port = address.port;
  if (port == 0) {
    port = state->server.bind_to_any_port(address.name.c_str());
  } else if (!state->server.bind_to_port(address.name.c_str(), port)) {
    port = -1;
  }
  if (port <= 0) {
    CONCLAVE_RETURN_IF_ERROR(WhyNotListen(address));
    return FailedPrecondition("cannot listen on " + address.ToString());
  }
  address.port = static_cast<uint16_t>(port);
  state->address = address.ToString();
  state->thread = std::thread([server = &state->server] { server->listen_after_bind(); });
  while (!state->server.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::~HttpServer() {
  state_->server.stop();
  state_->thread.join();
}

const std::string& HttpServer::address() const { return state_->address; }

}  // namespace conclave::platform
