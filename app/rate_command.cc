#include <memory>

#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/connection.h"
#include "app/json_line.h"
#include "base/utf8.h"
#include "conclave/v1/feedback.grpc.pb.h"
#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

struct RateFlags {
  CommonFlags common;
  std::string response_id;
  std::string vote;
  std::string vote_token;
  std::string correction;
  std::string comment;
  std::string other_response_id;
  std::string other_vote_token;
};

bool IsComparison(const std::string& vote) { return vote == "better" || vote == "worse" || vote == "tie"; }

/// --vote good|bad|1..5|better|worse|tie, or --correction.
Status FillVote(const RateFlags& flags, v1::Vote& vote) {
  if (!flags.correction.empty()) {
    vote.set_correction(flags.correction);
    return Status::Ok();
  }
  const std::string& text = flags.vote;
  if (text == "good" || text == "bad") {
    vote.set_thumb(text == "good" ? v1::THUMB_GOOD : v1::THUMB_BAD);
    return Status::Ok();
  }
  if (text.size() == 1 && text[0] >= '1' && text[0] <= '5') {
    vote.set_stars(static_cast<uint32_t>(text[0] - '0'));
    return Status::Ok();
  }
  if (!IsComparison(text)) {
    return InvalidArgument("--vote is '" + text +
                           "'; say good, bad, 1 to 5, or better, worse or tie with --other");
  }
  v1::Preference& preference = *vote.mutable_preference();
  preference.set_other_response_id(flags.other_response_id);
  preference.set_other_vote_token(flags.other_vote_token);
  preference.set_outcome(text == "better"  ? v1::Preference::OUTCOME_RATED_IS_BETTER
                         : text == "worse" ? v1::Preference::OUTCOME_OTHER_IS_BETTER
                                           : v1::Preference::OUTCOME_TIE);
  return Status::Ok();
}

Status Rate(const RateFlags& flags) {
  for (const std::string* text : {&flags.response_id, &flags.correction, &flags.comment}) {
    if (!IsValidUtf8(*text)) return InvalidArgument("the rating is not valid UTF-8");
  }
  v1::RateRequest request;
  request.set_response_id(flags.response_id);
  request.set_vote_token(flags.vote_token);
  request.set_comment(flags.comment);
  CONCLAVE_RETURN_IF_ERROR(FillVote(flags, *request.mutable_vote()));
  CONCLAVE_ASSIGN_OR_RETURN(const auto connection,
                            Connection::Open(flags.common, Connection::Services::kFeedback));
  const auto feedback = v1::FeedbackService::NewStub(connection->channel());
  grpc::ClientContext context;
  v1::RateResponse response;
  const grpc::Status status = feedback->Rate(&context, request, &response);
  if (!status.ok()) return platform::FromGrpcStatus(status, &context);
  PrintLine(flags.common.json ? JsonLine({{"rating_id", response.rating_id()}})
                              : "rated; rating " + response.rating_id());
  return Status::Ok();
}

}  // namespace

void AddRateCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<RateFlags>();
  CLI::App* command = program.add_subcommand("rate", "Rate an answer");
  command->add_option("response_id", flags->response_id, "The answer's response_id")->required();
  command->add_option("--vote", flags->vote, "good, bad, 1 to 5 stars, or better, worse, tie with --other");
  command->add_option("--token", flags->vote_token, "The answer's vote_token")->required();
  command->add_option("--correction", flags->correction, "How the answer should have read");
  command->add_option("--comment", flags->comment, "Why");
  command->add_option("--other", flags->other_response_id, "The answer it is compared with");
  command->add_option("--other-token", flags->other_vote_token, "That answer's vote_token");
  command->add_option("--config", flags->common.config_file, "A configuration file (YAML)");
  flags->common.AddConnect(*command);
  flags->common.AddJson(*command);
  command->footer("Example: conclave rate RESPONSE_ID --vote good --token VOTE_TOKEN");
  command->callback([flags, &chosen] {
    if (flags->vote.empty() == flags->correction.empty()) {
      throw CLI::ValidationError("give --vote or --correction, and only one of them");
    }
    const bool compares = IsComparison(flags->vote);
    if (compares != !flags->other_response_id.empty() || compares != !flags->other_vote_token.empty()) {
      throw CLI::ValidationError(
          "better, worse and tie need --other and --other-token; no other vote has them");
    }
    chosen = [flags] {
      const Status status = Rate(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
