"""Makes small random checkpoints with a tokenizer of their own, as `transformers` saves them."""

from pathlib import Path

from support.project_files import REPOSITORY

CHAT_TEMPLATE = ("{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
                 "{% endfor %}")
SIZES = {"vocab_size": 640, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
         "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 1}


# Fewer than the models' vocabulary, as real models have it.
TOKENIZER_TOKENS = 600


def save_tokenizer(folder: Path) -> None:
    """Byte-level BPE with GPT-2's pieces, trained on README.md; two tokens are special."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=TOKENIZER_TOKENS, special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator([REPOSITORY.joinpath("README.md").read_text(encoding="utf-8")], trainer)
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>")
    saved.chat_template = CHAT_TEMPLATE
    saved.save_pretrained(folder)


def make(folder: Path, *, family: str = "Llama", dtype: str = "float32", shard_size: str = "1GB", tokenizer: bool = True,
         **changes):
    """Saves a checkpoint and returns its model in that type. `family`: the name that transformers' classes begin with;
    `changes`: fields of its configuration."""
    import torch
    import transformers

    torch.manual_seed(20)
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **changes})
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        # Larger than a fresh model's, so that attention is far from uniform and logits from zero; norms that differ.
        for parameter in model.parameters():
            parameter.mul_(3.0) if parameter.dim() > 1 else parameter.add_(0.2 * torch.rand_like(parameter))
        # Ids that the tokenizer lacks have logits of zero, so that they are never the most likely ones.
        model.get_output_embeddings().weight[TOKENIZER_TOKENS:] = 0.0
    model = model.to(getattr(torch, dtype))
    model.save_pretrained(folder, max_shard_size=shard_size)
    if tokenizer:
        save_tokenizer(folder)
    return model
