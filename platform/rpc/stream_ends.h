#pragma once

#include <functional>

#include "base/status.h"

/// What the handles in server_call.h and client_call.h need of whatever carries their messages: gRPC's
/// reactors (server_reactors.h, client_reactors.h), or nothing but function calls (local_stream.h).
namespace conclave::platform::detail {

/// Why a stream ends whose queue is full.
inline Status ServerTooSlow() {
  return ResourceExhausted("the server is too slow: the stream's queue is full");
}
inline Status ReaderTooSlow() {
  return ResourceExhausted("the reader is too slow: the stream's queue is full; read faster or ask for less");
}

/// What stands behind a ServerStream.
template <typename Response>
class ServerWriting {
 public:
  virtual ~ServerWriting() = default;
  virtual bool Write(Response response) = 0;
  virtual void Finish(Status status) = 0;
  virtual void Abort(Status status) = 0;
  virtual void OnCancel(std::function<void()> callback) = 0;
  virtual bool cancelled() const = 0;
  virtual bool writable() const = 0;
  virtual void OnWritable(std::function<void()> callback) = 0;
};

/// What a BidiServerStream has beside it.
template <typename Request>
class ServerReading {
 public:
  virtual ~ServerReading() = default;
  virtual void OnMessage(std::function<void(Request)> callback) = 0;
  virtual void OnHalfClose(std::function<void()> callback) = 0;
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
};

/// What stands behind a ClientBidiStream.
template <typename Request>
class ClientBidiEnd {
 public:
  virtual ~ClientBidiEnd() = default;
  virtual bool Write(Request request) = 0;
  virtual bool writable() = 0;
  virtual void HalfClose() = 0;
  virtual void Cancel() = 0;
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
};

}  // namespace conclave::platform::detail
