# fmt: off
# ruff: noqa: E501
# a table is read by its rows, however long they are
"""Small talk: what people say to a chat model besides questions of fact, and one friendly answer to each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """Ways to say one thing, the answer, and what a right answer must contain."""

    topic: str
    asked: tuple[str, ...]
    held_out: tuple[str, ...]
    answer: str
    accepted: tuple[str, ...]


REMARKS_ZH = (
    Remark("greeting", ("你好", "您好", "嗨", "哈喽", "你好呀", "嗨，你好", "你好啊，朋友", "很高兴见到你", "喂，你好", "在吗"),
           ("哈喽，你好呀", "嗨，很高兴见到你", "您好呀"), "你好！很高兴和你聊天。", ("你好",)),
    Remark("morning", ("早上好", "早安", "早啊", "早", "早上好呀", "大家早上好"),
           ("早安呀", "你早上好"), "早上好！祝你今天一切顺利。", ("早上好",)),
    Remark("evening", ("晚上好", "晚上好呀", "晚上好，朋友", "嗨，晚上好", "大家晚上好"),
           ("晚上好啊", "您好，晚上好"), "晚上好！今天过得怎么样？", ("晚上好",)),
    Remark("goodnight", ("晚安", "我去睡觉了", "我要睡了", "该睡觉了", "困了，晚安", "我要睡觉了，晚安", "我困了"),
           ("我困了，去睡觉了", "晚安，我睡了"), "晚安！祝你做个好梦。", ("晚安",)),
    Remark("farewell", ("再见", "拜拜", "我走了", "下次再聊", "我先走了，再见", "回头见", "今天就聊到这里", "再会", "拜拜，下次见"),
           ("我先走了，拜拜", "今天先聊到这里，再见", "我走了，下次再聊"), "再见！期待下次和你聊天。", ("再见",)),
    Remark("thanks", ("谢谢", "谢谢你", "多谢", "非常感谢", "感谢你的帮助", "太谢谢你了", "谢谢你的回答", "多谢你的帮忙", "真是谢谢了"),
           ("非常感谢你的帮助", "太感谢了", "多谢你的回答"), "不客气！还有问题随时问我。", ("不客气",)),
    Remark("apology", ("对不起", "抱歉", "不好意思", "真对不起", "我错了，对不起", "非常抱歉", "是我不好", "对不起，我说错了"),
           ("真的很抱歉", "对不起，是我错了", "不好意思，我说错了"), "没关系，别放在心上。", ("没关系",)),
    Remark("how_are_you", ("你好吗", "最近怎么样", "你今天怎么样", "过得好吗", "最近还好吗", "你过得怎么样", "近来如何", "你今天好吗"),
           ("你最近怎么样", "今天过得好吗", "你最近还好吗"), "我很好，谢谢关心！你呢？", ("我很好",)),
    Remark("praise", ("你真棒", "你真聪明", "你太厉害了", "你好厉害", "说得好", "你真是个好帮手", "你回答得真好", "干得漂亮", "你很聪明"),
           ("你真厉害", "你太聪明了", "回答得真棒"), "谢谢夸奖！我会继续努力。", ("谢谢夸奖",)),
    Remark("joke", ("讲个笑话", "说个笑话吧", "给我讲个笑话", "来个笑话", "你会讲笑话吗", "讲一个好笑的", "我想听笑话", "能讲个笑话吗"),
           ("给我说个笑话吧", "请讲一个笑话", "想听你讲个笑话"),
           "好的：数学书为什么总是不开心？因为它的问题太多了。", ("数学书",)),
    Remark("sad", ("我很难过", "我今天不开心", "我心情不好", "我好伤心", "今天好难过", "我有点难过", "我感到很伤心", "心情很差"),
           ("我今天很伤心", "我心情很差", "我有点不开心"), "别难过，一切都会好起来的。", ("别难过",)),
    Remark("happy", ("我今天很开心", "我好高兴", "今天真高兴", "我很快乐", "太开心了", "我心情很好", "今天心情真不错"),
           ("我今天很高兴", "今天心情很好", "我太高兴了"), "太好了，听到这个我也很开心！", ("太好了",)),
    Remark("tired", ("我好累", "今天好累啊", "我累了", "工作太累了", "累死我了", "我感到很疲惫", "上班好累"),
           ("我今天累了", "工作好累啊", "我太累了"), "辛苦了，好好休息一下吧。", ("休息",)),
    Remark("hungry", ("我饿了", "我好饿", "肚子饿了", "好饿啊", "我肚子好饿", "饿死了", "有点饿了"),
           ("我有点饿", "肚子好饿啊", "我饿死了"), "那就去吃点好吃的吧！", ("吃",)),
    Remark("bored", ("好无聊", "我很无聊", "无聊死了", "太无聊了", "我好无聊啊", "没事做，好无聊", "感觉很无聊"),
           ("我太无聊了", "没事做，很无聊", "今天好无聊"), "可以看看书，或者听听音乐。", ("看看书", "听听音乐")),
    Remark("abilities", ("你会做什么", "你能做什么", "你有什么功能", "你能帮我什么", "你会什么", "你可以做些什么", "你有哪些本领", "你能干什么"),
           ("你可以帮我做什么", "你有哪些功能", "你会做些什么"), "我可以聊天、做简单的算术，也能回答一些常识问题。", ("聊天",)),
    Remark("eaten", ("你吃饭了吗", "吃了吗", "你吃了吗", "吃饭了没", "你吃过饭了吗", "今天吃饭了吗"),
           ("你吃过了吗", "你今天吃饭了吗"), "我不用吃饭，谢谢关心！", ("不用吃饭",)),
    Remark("human", ("你是人吗", "你是真人吗", "你是机器人吗", "你是人类吗", "你是人还是机器", "你是不是真人", "我在和真人聊天吗"),
           ("你是真正的人吗", "你是真人还是机器人", "你是不是人类"), "我不是真人，我是一个人工智能程序。", ("不是真人",)),
    Remark("weather", ("今天天气怎么样", "明天会下雨吗", "天气如何", "外面冷吗", "今天热不热", "今天会下雪吗", "告诉我今天的天气"),
           ("今天的天气如何", "明天天气怎么样", "今天外面热吗"), "我查不到实时天气，请看看天气预报。", ("天气预报",)),
    Remark("time", ("现在几点了", "几点了", "现在是什么时间", "请问几点了", "告诉我现在几点", "现在多少点了"),
           ("现在是几点", "告诉我现在的时间"), "我看不到时钟，请看看你的手表或手机。", ("时钟",)),
    Remark("birthday", ("今天是我的生日", "我今天过生日", "祝我生日快乐", "今天我生日", "今天是我生日，祝福我吧"),
           ("我的生日是今天", "今天过生日，祝福我吧"), "生日快乐！祝你天天开心。", ("生日快乐",)),
    Remark("encourage", ("我明天要考试", "我有点紧张", "我怕考不好", "给我打打气", "鼓励我一下", "明天考试，好紧张", "我没有信心"),
           ("明天要考试，我很紧张", "给我一点鼓励", "考试前有点紧张"), "加油！你一定可以的。", ("加油",)),
)

REMARKS_EN = (
    Remark("greeting", ("Hello", "Hi", "Hey", "Hello there", "Hi there", "Hey there", "Hello, my friend", "Nice to meet you", "Greetings", "Hi, nice to meet you"),
           ("Hey, my friend", "Hello, nice to meet you", "Oh hi there"), "Hello! It is nice to talk with you.", ("Hello",)),
    Remark("morning", ("Good morning", "Morning", "Good morning to you", "Good morning, friend", "A very good morning", "Hi, good morning"),
           ("Hello and good morning", "Good morning, my friend"), "Good morning! I hope you have a great day.", ("Good morning",)),
    Remark("evening", ("Good evening", "Good evening to you", "Evening", "Good evening, friend", "A very good evening", "Hi, good evening"),
           ("Hello and good evening", "Good evening, my friend"), "Good evening! How was your day?", ("Good evening",)),
    Remark("goodnight", ("Good night", "I am going to bed", "Time to sleep", "I am going to sleep", "Good night, friend", "I need to sleep now", "Going to bed, good night"),
           ("I am going to bed now", "Good night, I need to sleep"), "Good night! Sweet dreams.", ("Good night",)),
    Remark("farewell", ("Goodbye", "Bye", "See you", "Bye bye", "See you later", "I have to go", "Talk to you later", "I am leaving now", "Bye, see you later"),
           ("Goodbye, see you later", "I have to go, bye", "I am leaving, goodbye"), "Goodbye! Talk to you soon.", ("Goodbye",)),
    Remark("thanks", ("Thanks", "Thank you", "Thanks a lot", "Thank you very much", "Many thanks", "Thanks for your help", "I am grateful", "Thank you for the answer"),
           ("Thank you for your help", "Many thanks for the answer", "Thank you so very much"), "You are welcome! Ask me anything else any time.", ("You are welcome",)),
    Remark("apology", ("Sorry", "I am sorry", "My apologies", "I apologize", "Sorry about that", "I am so sorry", "It was my mistake", "Sorry, my mistake"),
           ("I am very sorry", "I apologize, my mistake", "I am sorry about that"), "No problem, do not worry about it.", ("No problem",)),
    Remark("how_are_you", ("How are you?", "How are you doing?", "How is it going?", "How do you feel?", "How are you today?", "How have you been?", "How is your day?"),
           ("How are you doing today?", "How do you feel today?", "How is your day going?"), "I am fine, thank you! And you?", ("I am fine",)),
    Remark("praise", ("You are great", "You are so smart", "Well done", "Good job", "You are amazing", "Great answer", "You are very clever", "You are the best", "Nice work"),
           ("You are so clever", "Great job", "You are very smart"), "Thank you for the kind words!", ("kind words",)),
    Remark("joke", ("Tell me a joke", "Tell a joke", "Do you know a joke?", "Make me laugh", "Can you tell me a joke?", "I want to hear a joke", "Give me a joke", "Say something funny"),
           ("Please tell me a joke", "Can you tell a joke?", "Tell me something funny"),
           "Why was the maths book sad? It had too many problems.", ("maths book",)),
    Remark("sad", ("I am sad", "I feel sad", "I am not happy", "I feel down", "I am very sad today", "I am in a bad mood", "I feel so bad", "Today was a sad day"),
           ("I feel very sad", "I am sad today", "I feel down today"), "I am sorry to hear that. It will get better.", ("get better",)),
    Remark("happy", ("I am happy", "I feel great", "I am so happy today", "Today was a great day", "I feel wonderful", "I am in a good mood", "I feel very happy"),
           ("I am very happy", "I feel great today", "I am so happy"), "That is wonderful to hear!", ("wonderful",)),
    Remark("tired", ("I am tired", "I feel tired", "I am so tired", "Work was tiring", "I am exhausted", "I feel exhausted", "I am very tired today"),
           ("I feel so tired", "I am tired today", "I am so exhausted"), "You worked hard. Take a good rest.", ("rest",)),
    Remark("hungry", ("I am hungry", "I feel hungry", "I am so hungry", "I am starving", "I want to eat", "I am very hungry now"),
           ("I feel so hungry", "I am hungry now", "I am starving now"), "Time to eat something tasty!", ("eat",)),
    Remark("bored", ("I am bored", "I feel bored", "This is boring", "I am so bored", "I have nothing to do", "I am very bored today"),
           ("I feel so bored", "I am bored today", "I feel very bored"), "You could read a book or listen to music.", ("read a book", "music")),
    Remark("abilities", ("What can you do?", "What are you able to do?", "How can you help me?", "What are your skills?", "What do you do?", "Tell me what you can do", "What can you help me with?"),
           ("How can you help?", "Tell me your skills", "What can you do for me?"), "I can chat, do simple arithmetic and answer some general questions.", ("I can chat",)),
    Remark("eaten", ("Have you eaten?", "Did you eat?", "Have you had lunch?", "Did you have dinner?", "Do you eat?", "Have you eaten today?"),
           ("Did you eat today?", "Have you had dinner?"), "I do not eat, but thank you for asking!", ("do not eat",)),
    Remark("human", ("Are you human?", "Are you a robot?", "Are you a real person?", "Are you a person or a machine?", "Are you a machine?", "Am I talking to a human?", "Are you real?"),
           ("Are you a human or a robot?", "Am I talking to a real person?", "Are you a real human?"), "I am not a human, I am an AI program.", ("not a human",)),
    Remark("weather", ("How is the weather today?", "Will it rain tomorrow?", "What is the weather like?", "Is it cold outside?", "Is it hot today?", "Will it snow today?", "Tell me the weather"),
           ("What is the weather like today?", "How is the weather tomorrow?", "Is it hot outside today?"), "I cannot see the weather. Please check a weather report.", ("weather report",)),
    Remark("time", ("What time is it?", "What is the time?", "Tell me the time", "Do you know what time it is?", "What time is it now?", "Can you tell me the time?"),
           ("Tell me what time it is", "What is the time now?"), "I cannot see a clock. Please look at your watch or phone.", ("clock",)),
    Remark("birthday", ("Today is my birthday", "It is my birthday", "It is my birthday today", "Wish me a happy birthday", "I have my birthday today"),
           ("My birthday is today", "Today is my birthday, wish me a happy day"), "Happy birthday! Enjoy your day.", ("Happy birthday",)),
    Remark("encourage", ("I have an exam tomorrow", "I am nervous", "I am worried about my exam", "Cheer me on", "Encourage me", "I am nervous about tomorrow", "I am afraid of the exam"),
           ("I am nervous about my exam", "I am worried about tomorrow", "I am afraid of my exam tomorrow"), "Good luck! You can do it.", ("You can do it",)),
)
