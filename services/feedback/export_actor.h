#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>

#include "platform/rpc/server_call.h"
#include "services/feedback/export_cursor.h"

namespace conclave::feedback {

/// Counts the exports that run, at most kMaxExports. Any thread may call.
class ExportSlots {
 public:
  /// Held by an export; freed by its destruction.
  class Slot {
   public:
    explicit Slot(ExportSlots& slots) : slots_(slots) {}
    ~Slot() { slots_.Free(); }
    Slot(const Slot&) = delete;

   private:
    ExportSlots& slots_;
  };

  /// Null when all are taken.
  std::unique_ptr<Slot> TryTake();

  /// Blocks until no export runs.
  void WaitUntilFree();

 private:
  void Free();

  std::mutex mutex_;
  std::condition_variable freed_;
  size_t taken_ = 0;  // guarded by mutex_
};

/// One export under way. The slot goes last: whoever waits for it then knows that the snapshot is gone.
struct ExportJob {
  std::unique_ptr<ExportSlots::Slot> slot;
  ExportCursor cursor;
  std::shared_ptr<platform::ServerStream<v1::ExportResponse>> stream;
};

using PumpAtom = caf::atom_constant<caf::atom("pump")>;

/// Writes an export's lines to its stream, one at a time as the client takes them, and ends with the stream.
/// It reads the disk: spawn it detached. Start it with a PumpAtom.
caf::behavior ExportActor(caf::event_based_actor* self, std::shared_ptr<ExportJob> job);

/// What a stream of an export may hold: one line, so that memory does not grow with a slow reader.
inline constexpr platform::StreamOptions kExportStream{.max_queued_messages = 1, .max_queued_bytes = 1};

}  // namespace conclave::feedback
