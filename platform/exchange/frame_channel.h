#pragma once

#include <string>

#include "conclave/v1/experts.pb.h"
#include "platform/exchange/message_channel.h"

namespace conclave::platform {

/// The bytes of a frame's tensor.
inline std::string& NumbersOf(v1::ExchangeRequest& frame) { return *frame.mutable_input()->mutable_data(); }
inline std::string& NumbersOf(v1::ExchangeResponse& frame) { return *frame.mutable_output()->mutable_data(); }

/// Sends a frame; its tensor's bytes travel beside the message that describes them. The frame is as it was
/// when this returns. Errors: as MessageChannel::Send.
template <typename Frame>
Status SendFrame(MessageChannel& channel, Frame& frame, MessageChannel::Deadline deadline) {
  std::string numbers;
  numbers.swap(NumbersOf(frame));
  const std::string head = frame.SerializeAsString();
  numbers.swap(NumbersOf(frame));
  return channel.Send(head, NumbersOf(frame), deadline);
}

/// Receives one; the room of the tensor's bytes that `frame` holds is used again. `scratch`: of the same
/// channel's earlier calls. Errors: as MessageChannel::Receive, DATA_LOSS (it cannot be read).
template <typename Frame>
Status ReceiveFrame(MessageChannel& channel, Frame& frame, MessageChannel::Message& scratch,
                    MessageChannel::Deadline deadline) {
  scratch.body.swap(NumbersOf(frame));
  CONCLAVE_RETURN_IF_ERROR(channel.Receive(scratch, deadline));
  if (!frame.ParseFromString(scratch.head)) return DataLoss("a frame cannot be read");
  scratch.body.swap(NumbersOf(frame));
  return Status::Ok();
}

}  // namespace conclave::platform
