

@pytest.mark.parametrize(("family", "name"), CELLS)
def test_enough_is_the_same_for_any_minutes(family: str, name: str) -> None:
    for examples in (20, 400, 30_000):
        spec = replace(spec_of(name), examples=examples)
        found = [FAMILIES[family].derive(spec, m, Machine())["learning.epochs"].value for m in (0.1, 60.0)]
        assert found[0] == found[1]


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_everything_derived_is_a_known_setting_with_a_reason(family: str, name: str) -> None:
    choices = FAMILIES[family].derive(spec_of(name), 1.0, Machine(threads=2))
    assert all(choice.why for choice in choices.values())
    learning = {k.removeprefix("learning."): c.value for k, c in choices.items() if k.startswith("learning.")}
    settings = make(Settings, learning, "learning")
    assert settings.lr > 0 and settings.epochs > 0 and 1 <= settings.batch <= 500


# one smooth column cannot tell neighbours with other labels apart
@pytest.mark.parametrize(("family", "name"), [cell for cell in CELLS if cell[1] != "one column"])
def test_thirty_two_rows_are_learned_by_heart(family: str, name: str) -> None:
    network, inputs = built(family, name).train(), inputs_of(spec_of(name), 32)
    head_KDC = torch.nn.Parameter(torch.randn(network.members, network.width, 2) * network.width**-0.5)
    target_B = (torch.arange(32) % 2).repeat(network.members)
    optimizer = torch.optim.AdamW([*network.parameters(), head_KDC], lr=5e-3, weight_decay=0.0)
    for _ in range(150):
        pooled = network.encode(inputs).pooled_KBD
        assert pooled is not None
        loss = torch.nn.functional.cross_entropy((pooled @ head_KDC).flatten(0, 1), target_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2, "labels are random: a coin gives 0.69 nats"
