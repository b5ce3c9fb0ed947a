"""What an exit code means, whatever verb raised."""

import pytest

from atrous.cli import main
from atrous.cli.output import progress_bar, say, show
from atrous.errors import UserError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("masks/a.png: mend it"), 2, "atrous: masks/a.png: mend it\n"),
        (FileNotFoundError(2, "No such file or directory", "a/b"), 2, "atrous: a/b: No such file or directory\n"),
        (
            PermissionError(13, "Permission denied", "out/.8997.part.a.onnx"),
            2,
            "atrous: out/a.onnx: Permission denied\n",
        ),
        (FileNotFoundError(2, "No such file", "http:/me:secret@host/x"), 2, "atrous: http:/host/x: No such file\n"),
        (FileExistsError(17, "File exists", "out"), 2, "atrous: out: File exists\n"),
        (KeyboardInterrupt(), 130, "atrous: interrupted\n"),
    ],
)
def test_what_the_user_can_mend_is_one_line(error, code, said, monkeypatch, capsys):
    monkeypatch.setattr(main, "app", raiser(error))
    with pytest.raises(SystemExit) as left:
        main.run()
    assert left.value.code == code
    assert capsys.readouterr().err == said


def test_what_is_printed_has_no_passwords(capsys):
    address, shown_address = "https://me:secret@host/x?key=secret", "https://host/x"
    say(address)
    show(f"written to {address}", {}, as_json=False)
    show("", {"failed": {address: [address]}}, as_json=True)
    out, err = capsys.readouterr()
    assert err == f"{shown_address}\n"
    assert out == f'written to {shown_address}\n{{"failed": {{"{shown_address}": ["{shown_address}"]}}}}\n'


@pytest.mark.parametrize(("done", "shown"), [(0.0, False), (0.5, True)])
def test_a_bar_disappears_where_nothing_was_done(done, shown, capsys):
    def fail():
        with progress_bar("predicting", 1) as (bar, task):
            bar.update(task, completed=done)
            raise UserError("no such folder")

    with pytest.raises(UserError):
        fail()
    assert ("predicting" in capsys.readouterr().err) == shown


@pytest.mark.parametrize("error", [OSError("a pipe broke"), ValueError("a bug")])
def test_a_bug_keeps_its_traceback(error, monkeypatch):
    monkeypatch.setattr(main, "app", raiser(error))
    with pytest.raises(type(error)):
        main.run()


def raiser(error):
    def app():
        raise error

    return app
