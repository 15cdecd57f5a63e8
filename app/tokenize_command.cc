#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/json_line.h"
#include "app/model_source.h"
#include "app/read_file.h"
#include "app/token_list.h"
#include "services/tokenizer/model_tokenizer.h"

namespace conclave::app {
namespace {

struct TokenizeFlags {
  CommonFlags common;
  std::string text;
  std::string file;
  std::string decode;
  bool parse_special = false;
  bool add_special = false;
};

void PrintTokens(const TokenizeFlags& flags, const std::vector<int32_t>& tokens) {
  if (flags.common.json) {
    PrintLine(JsonLine({{"token_ids", tokens}, {"count", tokens.size()}}));
    return;
  }
  for (size_t i = 0; i < tokens.size(); ++i) std::cout << (i == 0 ? "" : ",") << tokens[i];
  std::cout << "\n" << tokens.size() << " tokens" << std::endl;
}

/// Where the input comes from.
enum class Source { kText, kFile, kTokens };

Status Tokenize(const TokenizeFlags& flags, Source from) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ModelSource source, FindModel(config));
  CONCLAVE_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::LoadModelTokenizer(source.path));
  if (from == Source::kTokens) {
    CONCLAVE_ASSIGN_OR_RETURN(const auto tokens, ParseTokenList(flags.decode));
    CONCLAVE_ASSIGN_OR_RETURN(const std::string text, tokenizer->Decode(tokens, true));
    PrintLine(flags.common.json ? JsonLine({{"text", text}}) : text);
    return Status::Ok();
  }
  std::string text = flags.text;
  if (from == Source::kFile) {
    CONCLAVE_ASSIGN_OR_RETURN(text, ReadWholeFile(flags.file));
  }
  CONCLAVE_ASSIGN_OR_RETURN(
      const auto tokens,
      tokenizer->Encode(text, {.add_special = flags.add_special, .parse_special = flags.parse_special}));
  PrintTokens(flags, tokens);
  return Status::Ok();
}

}  // namespace

void AddTokenizeCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = program.add_subcommand("tokenize", "Turn a text into token ids, or back");
  flags->common.AddModel(*command);
  flags->common.AddJson(*command);
  auto* text = command->add_option("--text", flags->text, "The text");
  auto* file = command->add_option("--file,-f", flags->file, "A file with the text; - is standard input");
  auto* decode = command->add_option("--decode", flags->decode, "Token ids to turn into text, \"1,2,3\"");
  text->excludes(file)->excludes(decode);
  file->excludes(decode);
  command->add_flag("--parse-special", flags->parse_special, "The texts of special tokens mean those tokens");
  command->add_flag("--add-special", flags->add_special,
                    "Put the begin token in front where the model wants it");
  command->footer("Example: conclave tokenize --text \"Hello\" --json");
  command->callback([flags, command, &chosen] {
    Source from = Source::kText;
    if (command->count("--decode") > 0) {
      from = Source::kTokens;
    } else if (command->count("--file") > 0) {
      from = Source::kFile;
    } else if (command->count("--text") == 0) {
      throw CLI::RequiredError("--text, --file or --decode");
    }
    chosen = [flags, from] {
      const Status status = Tokenize(*flags, from);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
