#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <thread>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "app/cli.h"
#include "app/connection.h"
#include "app/json_line.h"
#include "app/printable.h"
#include "base/utf8.h"
#include "conclave/v1/retriever.grpc.pb.h"
#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPartBytes = 1 << 20;

struct IngestFlags {
  CommonFlags common;
  std::vector<std::string> paths;
  std::string collection;
};

using IngestStream = grpc::ClientReaderWriterInterface<v1::IngestRequest, v1::IngestResponse>;

/// What a file or folder that cannot be read is told. Errors: PERMISSION_DENIED.
Status Unreadable(const std::string& path, const std::string& reason) {
  return PermissionDenied("cannot read " + path + ": " + reason + "; nothing was ingested");
}

Status CheckReadable(const std::string& path) {
  return access(path.c_str(), R_OK) == 0 ? Status::Ok() : Unreadable(path, std::strerror(errno));
}

/// Every regular file below a folder, in order. Errors: PERMISSION_DENIED (a file or folder in it too).
Result<std::vector<std::string>> FilesBelow(const std::string& folder) {
  std::vector<std::string> files;
  std::string at = folder;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    at = it->path().string();
    std::error_code reason;
    const bool is_file = it->is_regular_file(reason);
    if (reason == std::errc::permission_denied) return Unreadable(at, reason.message());
    if (!is_file) continue;
    CONCLAVE_RETURN_IF_ERROR(CheckReadable(at));
    files.push_back(at);
  }
  if (error) return Unreadable(at, error.message());
  std::sort(files.begin(), files.end());
  return files;
}

/// Every regular file at or below the paths, in order. Errors: NOT_FOUND, INVALID_ARGUMENT (a device or a
/// pipe, which may never end), PERMISSION_DENIED.
Result<std::vector<std::string>> ListFiles(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::exists(path, error)) return NotFound("there is no file or folder " + path);
    if (!fs::is_directory(path, error)) {
      if (!fs::is_regular_file(path, error)) return InvalidArgument(path + " is neither a file nor a folder");
      CONCLAVE_RETURN_IF_ERROR(CheckReadable(path));
      files.push_back(path);
      continue;
    }
    CONCLAVE_ASSIGN_OR_RETURN(const auto below, FilesBelow(path));
    files.insert(files.end(), below.begin(), below.end());
  }
  return files;
}

/// Sends one file in parts; false when the stream is closed.
bool SendFile(IngestStream& stream, const std::string& collection, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string part(kPartBytes, '\0');
  bool more = true;
  while (more) {
    in.read(part.data(), static_cast<std::streamsize>(part.size()));
    const auto count = static_cast<size_t>(in.gcount());
    more = count == part.size() && in.peek() != std::ifstream::traits_type::eof();
    v1::IngestRequest request;
    request.set_collection(collection);
    request.set_source(EscapeInvalidUtf8(path));
    request.set_content(part.data(), count);
    request.set_last_part(!more);
    if (!stream.Write(request)) return false;
  }
  return true;
}

void Print(const IngestFlags& flags, const v1::IngestResponse& progress) {
  if (flags.common.json) {
    nlohmann::json skipped = nlohmann::json::object();
    for (const auto& [reason, count] : progress.skipped()) skipped[reason] = count;
    nlohmann::json named = nlohmann::json::array();
    for (const v1::SkippedDocument& document : progress.first_skipped())
      named.push_back({{"source", document.source()}, {"reason", document.reason()}});
    PrintLine(JsonLine({{"documents", progress.documents()},
                        {"chunks", progress.chunks()},
                        {"skipped", skipped},
                        {"first_skipped", named}}));
    return;
  }
  for (const v1::SkippedDocument& document : progress.first_skipped()) {
    std::cerr << "skipped " << Printable(document.source()) << ": " << document.reason() << "\n";
  }
  std::cout << progress.documents() << " documents, " << progress.chunks() << " passages";
  for (const auto& [reason, count] : progress.skipped())
    std::cout << ", " << count << " skipped (" << reason << ")";
  std::cout << std::endl;
}

Status Ingest(const IngestFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto files, ListFiles(flags.paths));
  CONCLAVE_ASSIGN_OR_RETURN(const auto connection,
                            Connection::Open(flags.common, Connection::Services::kRetriever));
  const auto retriever = v1::RetrieverService::NewStub(connection->channel());
  grpc::ClientContext context;
  const auto stream = retriever->Ingest(&context);
  v1::IngestResponse progress;
  {
    // The last one that was read is the total so far.
    ProgressBar bar("reading");
    std::thread reader([&] {
      v1::IngestResponse next;
      while (stream->Read(&next)) {
        progress = next;
        uint64_t seen = next.documents();
        for (const auto& [reason, count] : next.skipped()) seen += count;
        bar.Update(static_cast<int64_t>(seen), static_cast<int64_t>(files.size()));
      }
    });
    for (const std::string& path : files) {
      if (!SendFile(*stream, flags.collection, path)) break;
    }
    stream->WritesDone();
    reader.join();
  }
  const grpc::Status status = stream->Finish();
  if (!status.ok()) return platform::FromGrpcStatus(status, &context);
  Print(flags, progress);
  return Status::Ok();
}

}  // namespace

void AddIngestCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<IngestFlags>();
  CLI::App* command = program.add_subcommand("ingest", "Put text, Markdown and HTML files into a collection");
  command->add_option("paths", flags->paths, "Files, or folders with all that is in them")->required();
  command->add_option("--collection,-c", flags->collection, "Where to put them; made when it does not exist")
      ->required();
  command->add_option("--config", flags->common.config_file, "A configuration file (YAML)");
  flags->common.AddConnect(*command);
  flags->common.AddJson(*command);
  command->footer("Example: conclave ingest docs/ --collection manual");
  command->callback([flags, &chosen] {
    chosen = [flags] {
      const Status status = Ingest(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
