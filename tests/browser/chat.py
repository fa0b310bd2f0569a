"""The chat, as two people in browsers see it, with a third at a terminal: chat.py PROGRAM SCRATCH PICTURES."""

import asyncio
import pathlib
import signal
import sys

from devtools import Browser

PROGRAM, SCRATCH, PICTURES = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


async def sees(page, text):
    lines = "[...document.querySelectorAll('li')].map(e => e.textContent)"
    await page.until(f"{lines}.includes({text!r})", text)


async def says(page, text):
    await page.click("input")
    await page.tell("Input.insertText", text=text)
    await page.click("button")


async def main():
    chat = await asyncio.create_subprocess_exec(
        PROGRAM, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    try:
        said = [(await asyncio.wait_for(chat.stdout.readline(), 20)).decode().split()[-1] for _ in range(2)]
        reader, writer = await asyncio.open_connection(*said[0].rsplit(":", 1))
        assert (await reader.readline()) == b"* you are 1, others here: 0\n"
        async with Browser(SCRATCH / "chat-profile") as browser:
            anna, bert = await browser.page(390, 844, touch=True), await browser.page(1280, 900, "dark")
            await anna.open(said[1])
            came = (await asyncio.wait_for(reader.readline(), 30)).decode().split()[1]
            await sees(anna, f"* you are {came}, others here: 1")
            await bert.open(said[1])
            other = (await asyncio.wait_for(reader.readline(), 30)).decode().split()[1]
            await sees(anna, f"* {other} has come")
            await says(anna, "Hallo <i>Bert</i>")
            await sees(bert, f"{came}: Hallo <i>Bert</i>")
            assert (await reader.readline()).decode() == f"{came}: Hallo <i>Bert</i>\n"
            writer.write("grüß euch\n".encode())
            chat.stdin.write(b"a word from the console\n")
            for page in (anna, bert):
                await sees(page, "1: grüß euch")
                await sees(page, "console: a word from the console")
            await anna.picture(PICTURES / "chat-phone-light.png")
            await bert.picture(PICTURES / "chat-wide-dark.png")
            for page in (anna, bert):
                assert not page.errors, page.errors
                wide = await page.eval("document.documentElement.scrollWidth <= innerWidth")
                assert wide, "it scrolls sideways"
            await anna.close()
            await sees(bert, f"* {came} has gone: 1001 going away")
            chat.send_signal(signal.SIGINT)
            await sees(bert, "* the chat is over")
            status = await asyncio.wait_for(chat.wait(), 20)
            assert status == 0, status
    finally:
        if chat.returncode is None:
            chat.kill()
            await chat.wait()
    print("ok: the chat, in two browsers and at a terminal")


asyncio.run(main())
