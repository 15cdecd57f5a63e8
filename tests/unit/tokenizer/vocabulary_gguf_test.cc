#include "services/tokenizer/vocabulary_gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

using engine::GgufMetadata;
using testing::HasSubstr;

GgufMetadata SmallMetadata() {
  const VocabularyParts parts = SmallParts(WordMerges());
  GgufMetadata metadata;
  metadata.Set("tokenizer.ggml.model", std::string("gpt2"));
  metadata.Set("tokenizer.ggml.pre", std::string("smollm"));
  metadata.Set("tokenizer.ggml.tokens", parts.tokens);
  metadata.Set("tokenizer.ggml.token_type", parts.types);
  metadata.Set("tokenizer.ggml.merges", parts.merges);
  metadata.Set("tokenizer.ggml.bos_token_id", int64_t{267});
  metadata.Set("tokenizer.ggml.eos_token_id", int64_t{266});
  metadata.Set("tokenizer.ggml.eot_token_id", int64_t{5});
  metadata.Set("tokenizer.ggml.add_bos_token", true);
  metadata.Set("tokenizer.chat_template", std::string("{{ messages }}"));
  return metadata;
}

TEST(ReadGgufTokenizer, ReadsEveryKey) {
  const auto files = ReadGgufTokenizer(SmallMetadata());
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  EXPECT_EQ(files->vocabulary.tokens.size(), 269u);
  EXPECT_EQ(files->vocabulary.types.size(), 269u);
  EXPECT_EQ(files->vocabulary.merges, WordMerges());
  EXPECT_EQ(files->vocabulary.pre_tokenizer, "smollm");
  EXPECT_EQ(files->vocabulary.begin_token_id, 267);
  EXPECT_THAT(files->vocabulary.end_token_ids, testing::ElementsAre(266, 5));
  EXPECT_EQ(files->vocabulary.add_begin_token, true);
  EXPECT_EQ(files->chat_template, "{{ messages }}");
}

TEST(ReadGgufTokenizer, SaysWhatIsMissingOrNotSupported) {
  EXPECT_EQ(ReadGgufTokenizer({}).status().code(), StatusCode::kFailedPrecondition);
  GgufMetadata sentence_piece = SmallMetadata();
  sentence_piece.Set("tokenizer.ggml.model", std::string("llama"));
  const Status unsupported = ReadGgufTokenizer(sentence_piece).status();
  EXPECT_EQ(unsupported.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(unsupported.message(), HasSubstr("'llama'"));
  GgufMetadata bare;
  bare.Set("tokenizer.ggml.model", std::string("gpt2"));
  EXPECT_THAT(ReadGgufTokenizer(bare).status().message(), HasSubstr("tokenizer.ggml.pre"));
}

TEST(ReadGgufTokenizer, RefusesKeysOfTheWrongKind) {
  for (const char* key :
       {"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens", "tokenizer.ggml.merges",
        "tokenizer.ggml.token_type", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id", "tokenizer.ggml.add_bos_token", "tokenizer.chat_template"}) {
    GgufMetadata metadata = SmallMetadata();
    metadata.Set(key, std::vector<bool>{true});
    const Status status = ReadGgufTokenizer(metadata).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << key;
    EXPECT_THAT(status.message(), HasSubstr(key));
  }
}

}  // namespace
}  // namespace conclave::tokenizer
