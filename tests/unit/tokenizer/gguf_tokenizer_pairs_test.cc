#include "services/tokenizer/gguf_tokenizer_pairs.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/files/gguf_header.h"
#include "services/tokenizer/vocabulary_gguf.h"
#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

using testing::HasSubstr;

TokenizerFiles SmallFiles() {
  TokenizerFiles files{.vocabulary = SmallParts(WordMerges()), .chat_template = "{{ messages[0].content }}"};
  VocabularyParts& parts = files.vocabulary;
  parts.ignore_merges = false;
  parts.normalize_nfc = false;
  parts.add_begin_token = true;
  parts.begin_token_id = 267;
  parts.end_token_ids = {266, 266, 268};
  return files;
}

int64_t Count(const TokenizerFiles& files) { return static_cast<int64_t>(files.vocabulary.tokens.size()); }

/// What a file with these pairs says about its tokenizer.
Result<TokenizerFiles> ReadBack(const engine::GgufPairs& pairs) {
  const std::string path = testing::TempDir() + "gguf_tokenizer_pairs_test." + std::to_string(getpid());
  auto writer = engine::GgufWriter::Create(path, pairs, {}, 32, false);
  if (!writer.ok()) return writer.status();
  CONCLAVE_RETURN_IF_ERROR(writer->Finish());
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::filesystem::remove(path);
  const auto header = engine::ReadGgufHeader(std::as_bytes(std::span(bytes)));
  if (!header.ok()) return header.status();
  return ReadGgufTokenizer(header->metadata);
}

Status RefusedPairs(TokenizerFiles files, int64_t more_rows = 0) {
  const int64_t rows = Count(files) + more_rows;
  return TokenizerAsGguf(std::move(files), rows).status();
}

TEST(TokenizerAsGguf, IsReadBackTheSame) {
  const TokenizerFiles files = SmallFiles();
  const auto pairs = TokenizerAsGguf(files, Count(files) + 2);
  ASSERT_TRUE(pairs.ok()) << pairs.status().ToString();
  const auto found = ReadBack(*pairs);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  const VocabularyParts& parts = found->vocabulary;
  std::vector<std::string> tokens = files.vocabulary.tokens;
  std::vector<int64_t> types = files.vocabulary.types;
  for (int i = 0; i < 2; ++i) {
    tokens.push_back("[UNUSED " + std::to_string(tokens.size()) + "]");
    types.push_back(static_cast<int64_t>(TokenType::kUnused));
  }
  EXPECT_EQ(parts.tokens, tokens);
  EXPECT_EQ(parts.types, types);
  EXPECT_EQ(parts.merges, files.vocabulary.merges);
  EXPECT_EQ(parts.pre_tokenizer, "gpt-2");
  EXPECT_EQ(parts.begin_token_id, 267);
  EXPECT_EQ(parts.add_begin_token, true);
  EXPECT_THAT(parts.end_token_ids, testing::ElementsAre(266, 268));
  EXPECT_EQ(found->chat_template, files.chat_template);
}

TEST(TokenizerAsGguf, NamesThePreTokenizerThatDoesTheSame) {
  struct Case {
    const char* name;
    bool ignore_merges;
    bool normalize_nfc;
    const char* expected;
  };
  for (const Case& each :
       {Case{"gpt-2", false, false, "gpt-2"}, Case{"gpt-2", false, true, "mpt"},
        Case{"smollm", false, false, "smollm"}, Case{"smollm", false, true, "command-r"},
        Case{"llama-bpe", true, false, "llama-bpe"}, Case{"llama-bpe", false, false, "dbrx"},
        Case{"qwen2", false, true, "qwen2"}, Case{"qwen2", false, false, "deepseek-r1-qwen"}}) {
    TokenizerFiles files = SmallFiles();
    files.vocabulary.pre_tokenizer = each.name;
    files.vocabulary.ignore_merges = each.ignore_merges;
    files.vocabulary.normalize_nfc = each.normalize_nfc;
    const auto pairs = TokenizerAsGguf(files, Count(files));
    ASSERT_TRUE(pairs.ok()) << each.name << pairs.status().ToString();
    EXPECT_EQ(ReadBack(*pairs)->vocabulary.pre_tokenizer, each.expected) << each.name;
  }
}

TEST(TokenizerAsGguf, RefusesWhatAFileCannotSay) {
  TokenizerFiles files = SmallFiles();
  files.vocabulary.ignore_merges = true;  // No model with GPT-2's pieces does.
  EXPECT_EQ(RefusedPairs(files).code(), StatusCode::kUnimplemented);
  EXPECT_THAT(RefusedPairs(files).message(), HasSubstr("'gpt-2' with ignore_merges"));
  files = SmallFiles();
  files.vocabulary.end_token_ids = {1, 2, 3, 4};
  EXPECT_THAT(RefusedPairs(files).message(), HasSubstr("4 end tokens"));
  EXPECT_EQ(RefusedPairs(SmallFiles(), -1).code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(RefusedPairs(SmallFiles(), -1).message(), HasSubstr("only 268 embeddings"));
  EXPECT_EQ(RefusedPairs(SmallFiles(), int64_t{1} << 40).code(), StatusCode::kInvalidArgument);
  files = SmallFiles();
  files.vocabulary.begin_token_id = 999;
  EXPECT_EQ(RefusedPairs(files).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::tokenizer
