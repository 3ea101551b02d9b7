"""Train nano's transformer, text encoder and special tokens on drawn clips; export them in official form.

    python -m tools.nano.train_dit --vae DIR --minutes 9 --out OUT                 # from scratch
    python -m tools.nano.train_dit --vae DIR --minutes 9 --out OUT --init OUT1     # go on from weights
    python -m tools.nano.train_dit --dry-run --out OUT                             # CPU, every code path
    torchrun --nproc-per-node 2 -m tools.nano.train_dit ...                        # several GPUs

DIR holds vae.safetensors and vae_config.json. OUT receives dit.safetensors (moving average, bfloat16 with
float32 embedders), t5.safetensors, t5_config.json, tokenizer.json, special_tokens.npz and dit_log.jsonl;
`tools.nano.install` puts them where the engine looks. Optimiser state is not kept: runs restart from weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magi_core.config import Guidance
from tools.nano.batches import Batch, sample_batch
from tools.nano.export import export_text
from tools.nano.install import SAMPLING
from tools.nano.training_model import SlotLoss
from tools.nano.training_run import Run, arguments, start

LOOK_GUIDANCE = Guidance(**{name: tuple(values) for name, values in SAMPLING["base"]["guidance"].items()})


class Trainer(Run):
    """The base model on drawn clips: flow matching under teacher forcing."""

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        text = [(f"t5.{name}", parameter) for name, parameter in self.text_model.named_parameters()]
        return [*super().trained(), *text, ("special.table", self.special.table)]

    def prepare(self, backend: str, compiled: bool) -> None:
        module = SlotLoss(self.dit, backend)
        self.loss_of = torch.compile(module, dynamic=False) if compiled else module

    def loss(self) -> tuple[Tensor, Tensor, Tensor, Batch]:
        batch = sample_batch(self.corpus, self.args.batch, self.generator)
        text, visible = self.text(batch, self.dit)
        weight, mask = self.levels.weigh(batch), self.mask(batch.first_key)
        parts = (batch.x, batch.target, weight, batch.t, batch.dropped, text, visible, self.frames, mask, batch.focus)
        return (*self.loss_of(*parts), batch)

    def look_at(self) -> dict[str, float]:
        return self.looker.run(self.dit, self.text_model, self.special.table, self.vae, guidance=LOOK_GUIDANCE)

    def export(self, averages: dict[str, Tensor]) -> None:
        super().export(averages)
        export_text(self.args.out, self.tokenizer, self.text_model, averages)


if __name__ == "__main__":
    start(Trainer, arguments(__doc__).parse_args())
