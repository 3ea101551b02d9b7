"""What users own: LoRAs, a T5-XXL for the core CLIP loader, files in the usual folders, and the core VAE nodes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import comfy.sd
import folder_paths
import torch
from pack import distance, module, run
from placement_checks import SMALL, Parts, _partly, _sampled
from safetensors.torch import save_file

import nodes as core
from magi_core.config import DiTConfig
from magi_core.dit import DiT
from magi_core.errors import MagiError
from magi_core.loading import ASSETS, load
from magi_core.text import prepare_caption
from magi_core.text.tokenizer import load_tokenizer

LAYER = "videodit_blocks.layers.1.self_attention"
CAPTIONS = (
    "a big red circle moves right",
    "(a weighted:1.4) prompt \\(with\\) brackets, an embedding:word and  two   spaces\nand a line",
    "Ünïcödé, 漢字, emoji 🎬 & <b>tags</b> https://example.org",
    "trailing spaces   ",
    "word " * 900,
)


def check_lora() -> dict[str, Any]:
    """A LoRA gives what its change merged into the weights gives, with all weights in place or not, and goes again."""
    generator = torch.Generator().manual_seed(1)
    weights = Parts.plain.dit.state_dict()
    tensors, merged = {}, {}
    for layer, name in (
        (f"{LAYER}.linear_qkv.q", f"diffusion_model.{LAYER}.linear_qkv.q"),
        (f"{LAYER}.linear_proj", "transformer.blocks.1.attn_proj"),
        ("videodit_blocks.layers.0.mlp.linear_fc1", "transformer.blocks.0.ffn.net.0.proj"),
        ("final_linear.linear", "final_linear.linear"),
    ):
        out, inner = weights[f"{layer}.weight"].shape
        down, up = (0.1 * torch.randn(shape, generator=generator) for shape in ((4, inner), (out, 4)))
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
        merged[f"{layer}.weight"] = weights[f"{layer}.weight"] + 0.5 * up @ down
    halves = weights[f"{LAYER}.linear_kv_xattn.weight"].shape
    down, up = (0.1 * torch.randn(shape, generator=generator) for shape in ((4, halves[1]), (halves[0] // 2, 4)))
    tensors |= {"blocks.1.attn2.to_v.lora_A.weight": down, "blocks.1.attn2.to_v.lora_B.weight": up}
    merged[f"{LAYER}.linear_kv_xattn.weight"] = weights[f"{LAYER}.linear_kv_xattn.weight"].clone()
    merged[f"{LAYER}.linear_kv_xattn.weight"][halves[0] // 2 :] += 0.5 * up @ down
    for norm, part in ((f"{LAYER}.q_layernorm", "w_norm"), ("videodit_blocks.layers.0.mlp_post_norm", "b_norm")):
        name = f"{norm}.{'weight' if part == 'w_norm' else 'bias'}"
        tensors |= {f"{norm}.w_norm": torch.zeros_like(weights[f"{norm}.weight"])}
        tensors |= {f"{norm}.{part}": torch.randn(weights[name].shape, generator=generator)}
        merged[name] = weights[name] + 0.5 * tensors[f"{norm}.{part}"]
    _write_lora("look.safetensors", tensors)

    with_lora = run("MagiLoRA", model=Parts.model, lora="look.safetensors", strength=0.5)
    other = load("nano", device="cpu")
    other.dit.load_state_dict(weights | merged)
    expected = other.extend(other.begin(**SMALL), Parts.text.embedding).latents
    found = {
        "merged": distance(_sampled(with_lora).latents, expected),
        "base": distance(_sampled(Parts.model).latents, Parts.expected.latents),
        "changes": distance(expected, Parts.expected.latents),
        "shared": with_lora.dit is Parts.model.dit,
        "fingerprints": len({e.fingerprint for e in (Parts.model, with_lora, *_strengths(0.6, 1.0))}),
        "nothing": run("MagiLoRA", model=Parts.model, lora="look.safetensors", strength=0.0) is Parts.model,
    }
    with _partly(with_lora.host.patcher):
        found["low_vram"] = distance(_sampled(with_lora).latents, expected)
        compiled = run("MagiModelSettings", model=with_lora, compile=True)
        found["compiled"] = distance(_sampled(compiled).latents, expected)
    base, again = _sampled(Parts.model), _sampled(with_lora, keep=True)
    found["one_memory"] = distance(again.latents, expected)  # not the chunk that the other weights made
    found["base_again"] = distance(base.latents, Parts.expected.latents)
    return found


def check_foreign_loras() -> dict[str, str]:
    _write_lora("other.safetensors", {"blocks.0.attn.lora_A.weight": torch.ones(4, 8)})
    name = f"{LAYER}.linear_qkv.q"
    _write_lora(
        "size.safetensors", {f"{name}.lora_A.weight": torch.ones(4, 8), f"{name}.lora_B.weight": torch.ones(8, 4)}
    )
    names = ("other.safetensors", "size.safetensors", "../look.safetensors")
    return {name: _refused(lambda name=name: run("MagiLoRA", model=Parts.model, lora=name)) for name in names}


def check_fp8_lora() -> dict[str, Any]:
    """On fp8 layers a LoRA runs beside the layer."""
    return _lora_on_fp8("fp8", "fp32", stored=True)


def check_fp8_on_load_lora() -> dict[str, Any]:
    """Also on those that became fp8 while they were loaded."""
    return _lora_on_fp8("wide", "fp8", stored=False)


def _lora_on_fp8(name: str, dtype: str, *, stored: bool) -> dict[str, Any]:
    folder = Path(folder_paths.models_dir) / "magi" / "small" / f"inference_weight.{name}.distill"
    _write_model(folder, fp8=stored)
    model = run("MagiLoadModel", model=f"small/inference_weight.{name}.distill", dtype=dtype)
    model = model.with_settings(special_tokens=())
    plain = load(folder, device="cpu", dtype=dtype)
    generator = torch.Generator().manual_seed(2)
    down, up = (0.2 * torch.randn(shape, generator=generator) for shape in ((4, 64), (64, 4)))
    layer = plain.dit.get_submodule(f"{LAYER}.linear_qkv.q")
    quantised = layer.forward
    _write_lora(
        f"{name}.safetensors", {f"{LAYER}.linear_qkv.q.lora_A.weight": down, f"{LAYER}.linear_qkv.q.lora_B.weight": up}
    )
    with_lora = run("MagiLoRA", model=model, lora=f"{name}.safetensors", strength=2.0)
    prompt = torch.randn(5, plain.dit.config.caption_channels, generator=generator)
    text = Parts.text._replace(embedding=type(Parts.text.embedding)("a ball", prompt, (), ()))
    small = {"width": 32, "height": 32, "steps": 8, "seed": 3, "duration_tokens": False}

    def sampled(engine: Any) -> torch.Tensor:
        return run("MagiChunkSampler", model=engine, conditioning=text, **small).latents

    def expected() -> torch.Tensor:
        engine = plain.with_settings(steps=8, special_tokens=(), duration_tokens=False)
        return engine.extend(engine.begin(width=32, height=32, seed=3), text.embedding).latents

    base = expected()
    found = {"base": distance(sampled(model), base)}
    with _partly(model.host.patcher):
        model.cache.clear()
        found["low_vram"] = distance(sampled(model), base)
    layer.forward = lambda x: quantised(x) + 2.0 * (x @ down.t() @ up.t())
    plain.cache.clear()
    changed = expected()
    found["beside"] = distance(sampled(with_lora), changed)
    found["changes"] = distance(changed, base)
    model.cache.clear()
    found["base_again"] = distance(sampled(model), base)
    return found


def check_core_vae_nodes() -> dict[str, Any]:
    """Core's VAE nodes do with MAGI's VAE what its own codec does; latents travel in the VAE's own range."""
    vae, codec = Parts.vae, Parts.vae.codec
    frames = torch.rand(24, 70, 64, 3, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode(), vae.working(24, 64, 64):
        (latent,) = core.VAEEncode().encode(vae, frames)
        (tiled,) = core.VAEEncodeTiled().encode(vae, frames, 64, 16)
        (images,) = core.VAEDecode().decode(vae, latent)
        (images_tiled,) = core.VAEDecodeTiled().decode(vae, latent, 64, 16)
        two = vae.decode(latent["samples"].repeat(2, 1, 1, 1, 1))
        expected = codec.encode(frames[:, 3:67])
        decoded = torch.cat(list(codec.decode(expected))).float() / 255
        prefix = run("MagiVAEEncode", vae=vae, image=frames[:, 3:67], width=64, height=64)
        made = run("MagiChunkSampler", model=Parts.model, conditioning=Parts.text, prefix=latent, steps=4)
    return {
        "latent": list(latent["samples"].shape),
        "encoded": distance(latent["samples"] * codec.scale_factor, expected),
        "tiled": distance(tiled["samples"], latent["samples"]),
        "images": [list(images.shape), float((images - decoded).abs().max())],
        "images_tiled": float((images_tiled - images).abs().mean()),
        "batch": [list(two.shape), float((two[1] - images).abs().max())],
        "prefix": distance(prefix["samples"], latent["samples"]),
        "continued": list(made.latents.shape),
        "compression": [vae.spacial_compression_decode(), vae.temporal_compression_decode()],
        "foreign": _refused(lambda: run("MagiVAEDecode", vae=object(), state=made)),
        "scale": _other_scale(),
    }


def check_clip() -> dict[str, Any]:
    """A t5xxl file through core's CLIPLoader against transformers on the same weights, and against our tokenizer."""
    from transformers import T5Config, T5EncoderModel

    shape = {"d_model": 64, "d_kv": 16, "num_heads": 4}
    config = T5Config(vocab_size=32128, d_ff=10240, num_layers=24, feed_forward_proj="gated-gelu", **shape)
    torch.manual_seed(5)
    reference = T5EncoderModel(config).eval()
    for name, parameter in reference.named_parameters():
        parameter.data.normal_(0, 0.05 if parameter.ndim > 1 and "shared" not in name else 1.0)
    state = {k: v.half() for k, v in reference.state_dict().items() if k != "encoder.embed_tokens.weight"}
    reference.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    file = Path(folder_paths.get_folder_paths("text_encoders")[0]) / "t5xxl_fp16.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, file)
    folder_paths.filename_list_cache.clear()

    ours = load_tokenizer(Path(comfy.sd.__file__).parent / "text_encoders" / "t5_tokenizer")
    encoder = module("host.text_encoder").clip_text_encoder(_clip(file.name, "mochi", shape))
    found: dict[str, Any] = {
        "tokens": [encoder.tokenizer.ids(text) == ours.ids(text) for text in map(prepare_caption, CAPTIONS)]
    }
    expected = [_states_of(reference, ours.ids(prepare_caption(text))) for text in CAPTIONS]
    for kind in ("mochi", "ltxv"):
        clip = _clip(file.name, kind, shape)
        made = [run("MagiTextEncode", text_encoder=clip, prompt=text) for text in CAPTIONS]
        found[kind] = [
            distance(prompt.tokens, wanted) if prompt.tokens.shape == wanted.shape else str(list(prompt.tokens.shape))
            for prompt, wanted in zip(made, expected, strict=True)
        ]
        found[f"{kind} notes"] = made[-1].embedding.notes
    found["empty"] = run("MagiTextEncode", text_encoder=_clip(file.name, "mochi", shape), prompt=" ").embedding.is_null
    found["refused"] = {
        kind: _refused(
            lambda kind=kind: run("MagiTextEncode", text_encoder=_clip(file.name, kind, shape), prompt="a ball")
        )
        for kind in ("sd3", "pixart", "stable_diffusion", "chroma")
    }
    return found


def _states_of(reference: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    """Of every visible token; a long prompt keeps its first tokens and the end token."""
    ids = ids if len(ids) <= 800 else [*ids[:799], ids[-1]]
    with torch.no_grad():
        return reference(input_ids=torch.tensor([ids])).last_hidden_state[0]


def check_folders() -> dict[str, Any]:
    """MAGI's files among others in ComfyUI's usual folders."""
    models, nano = Path(folder_paths.models_dir), ASSETS / "nano"
    weights, diffusion = nano / "inference_weight", models / "diffusion_models"
    shutil.copytree(weights, diffusion / "mine")
    shutil.copyfile(weights / "model.safetensors", diffusion / "magi_base.safetensors")
    shutil.copytree(nano / "vae", models / "vae" / "magi")
    shutil.copytree(nano / "t5", models / "text_encoders" / "t5")
    for kind in ("diffusion_models", "vae"):
        save_file({"other.weight": torch.ones(2)}, models / kind / "other.safetensors")
    shutil.copyfile(nano / "special_tokens.npz", models / "magi" / "special_tokens.npz")
    folder_paths.filename_list_cache.clear()
    listed = {name: _listed(name) for name in ("MagiLoadModel", "MagiLoadVAE", "MagiLoadTextEncoder")}
    found: dict[str, Any] = {"listed": listed}
    for name in ("diffusion_models/mine", "diffusion_models/magi_base.safetensors"):
        model = run("MagiLoadModel", model=name, variant="base", dtype="fp32")
        model = model.with_settings(guidance=Parts.plain.settings.guidance)
        found[name] = [distance(_sampled(model).latents, Parts.expected.latents), model.special_tokens is not None]
    vae, encoder = run("MagiLoadVAE", model="vae/magi"), run("MagiLoadTextEncoder", model="text_encoders/t5")
    frames = torch.ones(4, 32, 32, 3)
    found["vae"] = distance(vae.codec.encode(frames), Parts.plain.vae.encode(frames))
    found["text"] = distance(encoder.encode("it turns blue").tokens, Parts.plain.encode_prompt("it turns blue").tokens)
    found["borrowed"] = run("MagiLoadVAE", model="diffusion_models/mine").codec.z_channels
    found["other"] = _refused(lambda: run("MagiLoadModel", model="diffusion_models/other.safetensors"))
    return found


def _strengths(*strengths: float) -> list[Any]:
    return [run("MagiLoRA", model=Parts.model, lora="look.safetensors", strength=s) for s in strengths]


def _other_scale() -> float:
    """A VAE with a scale of its own: latents that go round through LATENT keep their size."""
    codec = Parts.vae.codec
    before, codec.scale_factor = codec.scale_factor, 0.5
    try:
        frames = torch.ones(1, 64, 64, 3)
        wires, prefix = module("wires"), run("MagiVAEEncode", vae=Parts.vae, image=frames, width=64, height=64)
        return distance(wires.from_latent(prefix), codec.encode(frames))
    finally:
        codec.scale_factor = before


def _clip(name: str, kind: str, shape: dict[str, int]) -> Any:
    """What core's CLIPLoader makes of the file, for a T5-XXL that is narrower than usual."""
    original = comfy.sd.load_clip

    def narrow(*args: Any, model_options: dict[str, Any], **options: Any) -> Any:
        return original(*args, model_options=model_options | {"t5xxl_model_config": shape}, **options)

    comfy.sd.load_clip = narrow
    try:
        return core.CLIPLoader().load_clip(name, kind)[0]
    finally:
        comfy.sd.load_clip = original


def _listed(node: str) -> list[str]:
    from pack import NODES

    return next(i for i in NODES[node].define_schema().inputs if i.id == "model").options


def _refused(call: Any) -> str:
    """The sentence with which `call` is refused."""
    try:
        call()
    except MagiError as error:
        return str(error)
    return ""


def _write_lora(name: str, tensors: dict[str, torch.Tensor]) -> None:
    folder = Path(folder_paths.get_folder_paths("loras")[0])
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name)
    folder_paths.filename_list_cache.clear()


def _write_model(folder: Path, *, fp8: bool) -> None:
    config = DiTConfig(3, 64, 96, 4, 2, 16, caption_channels=16, caption_max_length=32, fp8=fp8, distill=True)
    generator = torch.Generator().manual_seed(7)
    state = DiT(config).state_dict()
    for name, tensor in state.items():
        if name.endswith("scale"):
            tensor.fill_(0.05)
        elif name != "rope.bands":
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * (1.0 if "e4m3" in str(tensor.dtype) else 0.1))
    folder.mkdir(parents=True)
    save_file(state, folder / "model.safetensors")
