#include "app/grpc_echo.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>
#include <utility>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "app/bench_report.h"
#include "app/cli.h"

namespace conclave::app {
namespace {

constexpr char kMethod[] = "/conclave.bench.Echo/Echo";
constexpr size_t kMostAnswerBytes = size_t{16} << 20;
constexpr double kLongestPauseS = 1.0;

grpc::ByteBuffer Bytes(size_t count) {
  const grpc::Slice slice(count);
  return {&slice, 1};
}

/// How a message begins.
struct Wish {
  uint64_t answer_bytes = 0;
  double pause_s = 0.0;
};

grpc::ByteBuffer Request(const EchoShape& shape) {
  const Wish wish{.answer_bytes = shape.answer_bytes, .pause_s = shape.pause_s};
  std::string message(std::max(shape.request_bytes, sizeof wish), 'x');
  std::memcpy(message.data(), &wish, sizeof wish);
  const grpc::Slice slice(message);
  return {&slice, 1};
}

Wish WishOf(const grpc::ByteBuffer& request) {
  grpc::Slice slice;
  Wish wish;
  if (!request.TrySingleSlice(&slice).ok() && !request.DumpToSingleSlice(&slice).ok()) return wish;
  if (slice.size() >= sizeof wish) std::memcpy(&wish, slice.begin(), sizeof wish);
  wish.answer_bytes = std::min<uint64_t>(wish.answer_bytes, kMostAnswerBytes);
  return wish;
}

/// As a shard that computes.
void Pass(double seconds) {
  const auto start = BenchClock::now();
  while (SecondsSince(start) < std::min(seconds, kLongestPauseS)) {
  }
}

class EchoReactor final : public grpc::ServerGenericBidiReactor {
 public:
  EchoReactor() { StartRead(&request_); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    const Wish wish = WishOf(request_);
    Pass(wish.pause_s);
    if (answer_.Length() != wish.answer_bytes) answer_ = Bytes(wish.answer_bytes);
    StartWrite(&answer_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) StartRead(&request_);
  }
  void OnDone() override { delete this; }

  grpc::ByteBuffer request_, answer_;
};

class EchoService final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new EchoReactor;
  }
};

/// Sends the next message when the last one was answered.
class CallbackClient final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  CallbackClient(const EchoShape& shape, int64_t count)
      : request_(Request(shape)), pause_s_(shape.pause_s), left_(count) {}

  std::vector<double> Run(grpc::GenericStub& stub) {
    stub.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    Next();
    StartCall();
    done_.get_future().wait();
    return std::move(seconds_);
  }

 private:
  void Next() {
    pending_ = 2;
    start_ = BenchClock::now();
    StartRead(&answer_);
    StartWrite(&request_);
  }
  void OnePassed() {
    if (--pending_ > 0) return;
    if (--left_ > 0) return Next();
    StartWritesDone();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    seconds_.push_back(SecondsSince(start_) - pause_s_);
    OnePassed();
  }
  void OnWriteDone(bool ok) override {
    if (ok) OnePassed();
  }
  void OnDone(const grpc::Status&) override { done_.set_value(); }

  grpc::ClientContext context_;
  const grpc::ByteBuffer request_;
  const double pause_s_;
  grpc::ByteBuffer answer_;
  int64_t left_;
  std::atomic<int> pending_ = 0;
  BenchClock::time_point start_;
  std::vector<double> seconds_;
  std::promise<void> done_;
};

}  // namespace

Status ServeEcho(const std::string& address) {
  EchoService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return Unavailable("cannot listen on " + address);
  const std::string bound = address.starts_with("unix:") ? address : "127.0.0.1:" + std::to_string(port);
  PrintLine(nlohmann::json{{"addresses", {bound}}}.dump());
  server->Wait();  // Until SIGTERM.
  return Status::Ok();
}

struct EchoClient::Call {
  grpc::ClientContext context;
  grpc::CompletionQueue events;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream;
  grpc::ByteBuffer request, answer;

  /// Takes so many events.
  Status Take(int count) {
    void* tag = nullptr;
    bool ok = false;
    for (; count > 0; --count) {
      if (!events.Next(&tag, &ok) || !ok) return Unavailable("the echo server is gone");
    }
    return Status::Ok();
  }
};

EchoClient::EchoClient(const std::shared_ptr<grpc::Channel>& channel) : call_(std::make_unique<Call>()) {
  call_->stream = grpc::GenericStub(channel).PrepareCall(&call_->context, kMethod, &call_->events);
  call_->stream->StartCall(nullptr);
}

EchoClient::~EchoClient() {
  call_->context.TryCancel();
  grpc::Status status;
  call_->stream->Finish(&status, nullptr);
  call_->events.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (call_->events.Next(&tag, &ok)) {
  }
}

Status EchoClient::RoundTrip(const EchoShape& shape) {
  if (call_->request.Length() == 0) {
    CONCLAVE_RETURN_IF_ERROR(call_->Take(1));
    call_->request = Request(shape);
  }
  call_->stream->Read(&call_->answer, nullptr);
  call_->stream->Write(call_->request, nullptr);
  return call_->Take(2);
}

Result<std::vector<double>> EchoOnCallbacks(const std::shared_ptr<grpc::Channel>& channel,
                                            const EchoShape& shape, int64_t count) {
  grpc::GenericStub stub(channel);
  std::vector<double> seconds = CallbackClient(shape, count).Run(stub);
  if (static_cast<int64_t>(seconds.size()) != count) return Unavailable("the echo server is gone");
  return seconds;
}

}  // namespace conclave::app
