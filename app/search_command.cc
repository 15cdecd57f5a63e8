#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/connection.h"
#include "app/json_line.h"
#include "app/printable.h"
#include "base/utf8.h"
#include "conclave/v1/retriever.grpc.pb.h"
#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

struct SearchFlags {
  CommonFlags common;
  std::string query;
  std::string collection;
  uint32_t top_n = 5;
};

nlohmann::json ToJson(const v1::SearchResult& result) {
  return {{"id", result.id()},
          {"source", result.source()},
          {"text", result.text()},
          {"score", result.score()},
          {"lexical_rank", result.lexical_rank()},
          {"dense_rank", result.dense_rank()},
          {"heading", result.heading()}};
}

void Print(const v1::SearchResponse& response) {
  if (response.results().empty()) std::cout << "Nothing was found.\n";
  int number = 0;
  for (const v1::SearchResult& result : response.results()) {
    std::cout << ++number << ". " << Printable(result.source());
    if (!result.heading().empty()) std::cout << " > " << Printable(result.heading());
    std::cout << "  (score " << result.score() << ")\n" << Printable(result.text()) << "\n\n";
  }
  std::cout << std::flush;
}

Status Search(const SearchFlags& flags) {
  if (!IsValidUtf8(flags.query) || !IsValidUtf8(flags.collection)) {
    return InvalidArgument("the query is not valid UTF-8");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const auto connection,
                            Connection::Open(flags.common, Connection::Services::kRetriever));
  const auto retriever = v1::RetrieverService::NewStub(connection->channel());
  v1::SearchRequest request;
  request.set_collection(flags.collection);
  request.set_query(flags.query);
  request.set_top_n(flags.top_n);
  grpc::ClientContext context;
  v1::SearchResponse response;
  const grpc::Status status = retriever->Search(&context, request, &response);
  if (!status.ok()) return platform::FromGrpcStatus(status, &context);
  if (!flags.common.json) {
    Print(response);
    return Status::Ok();
  }
  nlohmann::json results = nlohmann::json::array();
  for (const v1::SearchResult& result : response.results()) results.push_back(ToJson(result));
  PrintLine(JsonLine({{"results", results}}));
  return Status::Ok();
}

}  // namespace

void AddSearchCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<SearchFlags>();
  CLI::App* command = program.add_subcommand("search", "Find passages in a collection");
  command->add_option("query", flags->query, "What to look for")->required();
  command->add_option("--collection,-c", flags->collection, "Where to look")->required();
  command->add_option("--top,-n", flags->top_n, "How many passages")
      ->capture_default_str()
      ->check(WholeNumber(1, 1000));
  command->add_option("--config", flags->common.config_file, "A configuration file (YAML)");
  flags->common.AddConnect(*command);
  flags->common.AddJson(*command);
  command->footer("Example: conclave search \"how do I sort a hash\" --collection manual --top 3");
  command->callback([flags, &chosen] {
    chosen = [flags] {
      const Status status = Search(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
